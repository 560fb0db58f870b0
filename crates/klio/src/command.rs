//! The commands, one file each.

#[cfg(feature = "lake")]
mod actor;
#[cfg(feature = "lake")]
mod config;
#[cfg(feature = "lake")]
pub mod connect;
#[cfg(feature = "lake")]
mod dead_letters;
mod demo;
#[cfg(feature = "lake")]
mod doctor;
#[cfg(feature = "lake")]
mod evidence;
mod explain;
#[cfg(feature = "lake")]
mod export;
mod hunt;
mod hunts;
mod incident;
#[cfg(feature = "lake")]
mod ingest;
#[cfg(feature = "lake")]
mod lake;
mod object;
mod rule;
mod scan;
#[cfg(feature = "lake")]
mod serve;
#[cfg(feature = "lake")]
mod sources;
#[cfg(feature = "lake")]
mod sql;
#[cfg(feature = "lake")]
mod stats;
#[cfg(feature = "lake")]
mod tail;
#[cfg(feature = "lake")]
mod timeline;
mod tune;
#[cfg(feature = "lake")]
mod user;
#[cfg(feature = "lake")]
mod verify;

use crate::failure::Failure;

/// What klio can do.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Find the attacks in audit logs.
    Scan(scan::Scan),
    /// Keep audit logs in the lake, judged and sealed.
    #[cfg(feature = "lake")]
    Ingest(ingest::Ingest),
    /// Take the audit stream of clusters, judge it as it comes, and keep it.
    #[cfg(feature = "lake")]
    Serve(serve::Serve),
    /// Connect clusters to the server.
    #[cfg(feature = "lake")]
    #[command(subcommand)]
    Connect(connect::Connect),
    /// Show, check and explain the settings.
    #[cfg(feature = "lake")]
    #[command(subcommand)]
    Config(config::Settings),
    /// Look at everything that a server needs, and say what is wrong.
    #[cfg(feature = "lake")]
    Doctor(doctor::Doctor),
    /// Show how each source of a running server is.
    #[cfg(feature = "lake")]
    Sources(sources::Sources),
    /// Say who may use the server, and what each may see.
    #[cfg(feature = "lake")]
    #[command(subcommand)]
    User(user::Users),
    /// See to what was delivered as events and is none.
    #[cfg(feature = "lake")]
    #[command(subcommand)]
    DeadLetters(dead_letters::Letters),
    /// Print the events that match a filter, or the answer to a hunt of the library.
    Hunt(hunt::Hunt),
    /// List the library of hunts, or show one.
    Hunts(hunts::Hunts),
    /// List incidents, or tell one: what happened, how far it reached, what to do now.
    Incident(incident::Incident),
    /// Print the newest events of the lake, and those that come.
    #[cfg(feature = "lake")]
    Tail(tail::Tail),
    /// Tell what one actor did, what happened to one object, or what came from one address.
    #[cfg(feature = "lake")]
    Timeline(timeline::Timeline),
    /// Tell who somebody is by what he does, and what is new of it.
    #[cfg(feature = "lake")]
    Actor(actor::Actor),
    /// Tell the history of one object: who changed which fields, and what it was before.
    Object(object::Object),
    /// Count the events of the lake.
    #[cfg(feature = "lake")]
    #[command(subcommand)]
    Stats(stats::Stats),
    /// Ask the lake in SQL, for reading only.
    #[cfg(feature = "lake")]
    Sql(sql::Sql),
    /// Write the matching events of the lake to a file, however many there are.
    #[cfg(feature = "lake")]
    Export(export::Export),
    /// Check that nothing was altered, removed or added since it was sealed.
    #[cfg(feature = "lake")]
    Verify(verify::Verify),
    /// Export events with the proofs that they were sealed.
    #[cfg(feature = "lake")]
    #[command(subcommand)]
    Evidence(evidence::Evidence),
    /// See to the lake: what is in it, merging, expiry, legal holds, keys.
    #[cfg(feature = "lake")]
    Lake(lake::Lake),
    /// List, show, check and test detection rules.
    #[command(subcommand)]
    Rule(rule::Rule),
    /// Say what could be added to the allow-list, or what one would have removed.
    Tune(tune::Tune),
    /// Say in one sentence what an audit event means.
    Explain(explain::Explain),
    /// Scan the recorded attacks that come with Klio, or learn to find them yourself.
    Demo(demo::Demo),
}

impl Command {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Scan(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Ingest(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Serve(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Connect(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Config(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Doctor(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Sources(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::User(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::DeadLetters(c) => c.run(),
            Self::Hunt(c) => c.run(),
            Self::Hunts(c) => c.run(),
            Self::Incident(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Tail(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Timeline(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Actor(c) => c.run(),
            Self::Object(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Stats(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Sql(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Export(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Verify(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Evidence(c) => c.run(),
            #[cfg(feature = "lake")]
            Self::Lake(c) => c.run(),
            Self::Rule(c) => c.run(),
            Self::Tune(c) => c.run(),
            Self::Explain(c) => c.run(),
            Self::Demo(c) => c.run(),
        }
    }
}
