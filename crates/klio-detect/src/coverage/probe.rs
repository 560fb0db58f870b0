//! A request of which some things are known, and what a filter may answer about it.

use klio_model::event::UserKind;
use klio_model::filter::Piece;
use klio_model::{Event, Field, FieldRef, Filter, Level, Matcher, Missing, Stage, Test, TextMatch};

use super::catalog;
use super::named::has_pods;
use super::outcome::Outcomes;
use super::requester::Requester;

/// Filters nest no deeper than their compilers allow; this only keeps the walk from trusting them.
const MAX_DEPTH: usize = 200;
const LEVELS: [Level; 3] = [Level::Metadata, Level::Request, Level::RequestResponse];

/// What a request is known to be. Everything else about it is open.
pub(super) struct Probe<'p> {
    /// `None` for a request that is about no resource.
    pub group: Option<&'p str>,
    pub resource: &'p str,
    pub subresource: &'p str,
    pub verb: &'p str,
    /// The path of a request that is about no resource.
    pub path: &'p str,
    pub stage: Stage,
    /// `None`: anybody.
    pub who: Option<&'p Requester>,
    /// `None`: any. Empty: none.
    pub namespace: Option<&'p str>,
    /// `None`: any. Empty: none.
    pub name: Option<&'p str>,
}

/// A probe as an event, ready to be asked.
pub(super) struct Asked<'p> {
    probe: &'p Probe<'p>,
    event: Event<'static>,
}

impl<'p> Probe<'p> {
    pub fn ask(&'p self) -> Asked<'p> {
        let mut event = Event::blank().with(Field::Verb, self.verb);
        event.stage = self.stage;
        let mut set = |field, text: &str| {
            if !text.is_empty() {
                event = std::mem::replace(&mut event, Event::blank()).with(field, text);
            }
        };
        set(Field::ApiGroup, self.group.unwrap_or_default());
        set(Field::Resource, self.resource);
        set(Field::Subresource, self.subresource);
        set(Field::Uri, self.path);
        set(Field::Namespace, self.namespace.unwrap_or_default());
        set(Field::Name, self.name.unwrap_or_default());
        if let Some(who) = self.who {
            set(Field::User, &who.name);
            event = event.in_groups(who.groups.iter().map(String::as_str));
            if who.kind == UserKind::Unauthenticated {
                event.code = Some(401);
            }
        }
        Asked { probe: self, event }
    }

    fn is_resource(&self) -> bool {
        self.group.is_some()
    }

    fn writes(&self) -> bool {
        matches!(self.verb, "create" | "update" | "patch")
    }
}

impl Asked<'_> {
    /// What the filter can answer; `dialect` reads what is not recorded as rules do.
    pub fn outcomes(&self, filter: &Filter, dialect: bool) -> Outcomes {
        self.walk(filter, dialect, 0)
    }

    fn walk(&self, filter: &Filter, dialect: bool, depth: usize) -> Outcomes {
        if depth > MAX_DEPTH {
            return Outcomes::FREE;
        }
        match filter {
            Filter::All => Outcomes::TRUE,
            Filter::Nothing => Outcomes::FALSE,
            Filter::And(parts) => {
                let mut all = Outcomes::TRUE;
                for part in parts {
                    all = all.and(self.walk(part, dialect, depth + 1));
                    if all == Outcomes::FALSE {
                        break;
                    }
                }
                all
            }
            Filter::Or(parts) => {
                let mut any = Outcomes::FALSE;
                for part in parts {
                    any = any.or(self.walk(part, dialect, depth + 1));
                    if any == Outcomes::TRUE {
                        break;
                    }
                }
                any
            }
            Filter::Not(part) => self.walk(part, dialect, depth + 1).not(),
            Filter::Test(test) => {
                let outcomes = self.test(filter, test);
                if dialect { outcomes.as_dialect() } else { outcomes }
            }
            Filter::Keyword(_) => Outcomes::word(),
        }
    }

    fn test(&self, node: &Filter, test: &Test) -> Outcomes {
        let exact = || Outcomes::exact(node.eval(&self.event, Missing::Unknown));
        if let Matcher::Same(other) = &test.matcher {
            let level = test.field.level().max(other.level());
            return match level {
                Level::Unstated | Level::Metadata if self.knows(&test.field) && self.knows(other) => exact(),
                Level::Unstated | Level::Metadata => Outcomes::FREE,
                _ => self.body(&test.field, level),
            };
        }
        if test.field.field() == Field::Level {
            return Outcomes::each(LEVELS.map(|level| {
                let mut at = Event::blank();
                at.level = level;
                node.eval(&at, Missing::Unknown)
            }));
        }
        if self.knows(&test.field) {
            return exact();
        }
        match test.field.level() {
            Level::Unstated | Level::Metadata => self.metadata(test),
            level => self.body(&test.field, level),
        }
    }

    /// Whether the field's value follows from what is known.
    fn knows(&self, field: &FieldRef) -> bool {
        let probe = self.probe;
        let early = probe.stage == Stage::RequestReceived;
        let stranger = probe.who.is_some_and(|w| w.kind == UserKind::Unauthenticated);
        let nameless = probe.who.is_some_and(|w| w.name.is_empty() || w.kind == UserKind::Anonymous);
        match field.field() {
            Field::Verb | Field::Resource | Field::Subresource | Field::ApiGroup | Field::Stage => true,
            Field::User | Field::UserKind | Field::UserNamespace | Field::Groups => probe.who.is_some(),
            // The API server gives these to nobody who did not authenticate.
            Field::UserUid | Field::Credential | Field::Extra => nameless,
            Field::Impersonated
            | Field::ImpersonatedGroups
            | Field::ImpersonatedExtra
            | Field::ImpersonatedUid => stranger,
            Field::Code | Field::Outcome => early || stranger,
            Field::Status | Field::Message | Field::Reason => early,
            Field::Annotations | Field::Decision | Field::DecisionReason | Field::PodSecurity => {
                early || stranger
            }
            Field::Namespace => probe.namespace.is_some() || !probe.is_resource(),
            Field::Name => probe.name.is_some() || !probe.is_resource(),
            Field::Uri | Field::UriPath => !probe.path.is_empty(),
            Field::Object => !probe.is_resource(),
            // A write may be a dry run; a read is neither.
            Field::RequestWrite => !self.event.is_write(),
            _ => false,
        }
    }

    /// A metadata test that nothing decides, as far as something does.
    fn metadata(&self, test: &Test) -> Outcomes {
        let probe = self.probe;
        let possible = match test.field.field() {
            // Only these read a command from the query.
            Field::ExecCommand => matches!(probe.subresource, "exec" | "attach" | "proxy"),
            Field::Uri | Field::UriPath => could_begin_with_api(&test.matcher),
            // Only who did not authenticate gets one, but for what a proxied server answers.
            Field::Code => {
                probe.who.is_none() || probe.subresource == "proxy" || !is_unauthorized(&test.matcher)
            }
            _ => true,
        };
        if possible { Outcomes::FREE } else { Outcomes::FALSE }
    }

    /// A value that is in a body, if the request has one and it can be there.
    fn body(&self, field: &FieldRef, level: Level) -> Outcomes {
        let probe = self.probe;
        if probe.stage == Stage::RequestReceived {
            return Outcomes::NEVER;
        }
        if probe.who.is_some_and(|w| w.kind == UserKind::Unauthenticated) {
            // Nothing of a request is decoded before it is known who asks.
            return Outcomes::NEVER;
        }
        let connection = !probe.is_resource() || catalog::is_connection(probe.subresource);
        if level == Level::RequestResponse {
            return if connection || probe.verb == "watch" {
                Outcomes::lacking(level)
            } else if matches!(probe.stage, Stage::ResponseStarted) {
                Outcomes::NEVER
            } else {
                Outcomes::from(level)
            };
        }
        let fits = match field.field() {
            Field::Pod | Field::Container | Field::PodHostPath => {
                has_pods(probe.resource)
                    && probe.writes()
                    && matches!(probe.subresource, "" | "ephemeralcontainers" | "resize")
            }
            Field::VolumeHostPath => {
                probe.resource == "persistentvolumes" && probe.writes() && probe.subresource.is_empty()
            }
            Field::Grant => matches!(probe.resource, "roles" | "clusterroles"),
            Field::Subject | Field::RoleRef => {
                matches!(probe.resource, "rolebindings" | "clusterrolebindings")
            }
            Field::PatchRemoved => probe.verb == "patch",
            _ => true,
        };
        if !fits || matches!(probe.verb, "get" | "list" | "watch") {
            return Outcomes::FALSE;
        }
        // What a deletion sends are its options, in which nothing of an object stands.
        let options = matches!(probe.verb, "delete" | "deletecollection")
            && !matches!(field.field(), Field::RequestObject | Field::Patch | Field::Falco | Field::Document);
        if connection || options { Outcomes::lacking(level) } else { Outcomes::from(level) }
    }
}

/// Whether only 401 matches.
fn is_unauthorized(matcher: &Matcher) -> bool {
    matches!(matcher, Matcher::Text(text) if text.folded_literal() == Some("401"))
}

/// Whether some path below `/api` could match.
fn could_begin_with_api(matcher: &Matcher) -> bool {
    let fits = |text: &TextMatch| match text.pieces().first() {
        Some(Piece::Literal(start)) => {
            let whole = text.pieces().len() == 1;
            start.starts_with("/api/")
                || start.starts_with("/apis/")
                || (!whole && "/apis/".starts_with(start))
        }
        Some(_) => true,
        None => false,
    };
    match matcher {
        Matcher::Text(text) => fits(text),
        Matcher::OneOf(texts) => texts.iter().any(fits),
        _ => true,
    }
}
