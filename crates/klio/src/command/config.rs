//! `klio config`

use std::io::Write;
use std::path::PathBuf;

use crate::config::{Config, at, reference, schema};
use crate::data::Data;
use crate::failure::Failure;
use crate::serve::credentials::Credentials;

/// Show, check and explain the settings.
#[derive(clap::Subcommand)]
#[command(after_help = "Examples:
  klio config show > klio.yaml
  klio config check
  klio config explain server.tls.names
  klio config schema > klio.schema.json")]
pub enum Settings {
    /// Print klio.yaml with all defaults and what they mean: a file to begin with.
    Show,
    /// Check klio.yaml, and that the secrets that it names can be read.
    Check {
        /// The file; that of the data directory unless given.
        file: Option<PathBuf>,
        #[command(flatten)]
        data: Data,
    },
    /// Say what a key means.
    Explain {
        /// The key, such as server.listen.
        key: String,
    },
    /// Print the JSON Schema of klio.yaml, by which editors complete and check it.
    Schema,
}

impl Settings {
    /// Runs the command.
    pub fn run(self) -> Result<(), Failure> {
        match self {
            Self::Show => write!(std::io::stdout(), "{}", reference::TEXT)?,
            Self::Check { file, data } => {
                let path = file.map_or_else(|| data.config_path(), Ok)?;
                if !path.exists() {
                    return Err(Failure::world(format!("there is no {}", path.display()))
                        .hint("`klio config show` prints one to begin with; without it all defaults hold"));
                }
                let config = Config::read(&path)?;
                let dir = data.dir()?;
                for (key, reference) in config.references() {
                    reference.read().map_err(|failure| at(key, failure))?;
                }
                Credentials::read(&dir, &config)?;
                config.desk(&dir)?;
                config.sign_in.check_files()?;
                check(&config)?;
                eprintln!("klio: {} is right", path.display());
            }
            Self::Explain { key } => {
                let text = reference::explain(&key).or_else(|| schema::explain(&key));
                write!(std::io::stdout(), "{}", text.ok_or_else(|| unknown(&key))?)?;
            }
            Self::Schema => {
                let mut out = std::io::stdout().lock();
                serde_json::to_writer_pretty(&mut out, &schema::schema()).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        Ok(())
    }
}

/// Whether filters and expressions in the settings mean something.
pub fn check(config: &Config) -> Result<(), Failure> {
    klio_store::Classes::of(&config.lake).map_err(Failure::usage)?;
    config.redaction.check().map_err(|e| Failure::usage(format!("redaction: {e}")))
}

fn unknown(key: &str) -> Failure {
    let keys = reference::keys();
    let near = keys.iter().max_by(|a, b| {
        let like = |own: &str| strsim::jaro_winkler(own, key);
        like(a).total_cmp(&like(b))
    });
    let failure = Failure::usage(format!("there is no setting `{key}`"));
    match near {
        Some(near) => failure.hint(format!("did you mean `{near}`? `klio config show` lists all")),
        None => failure,
    }
}
