//! What a person is shown: one struct per answer, the same as JSON and as a page. Times are RFC 3339 in UTC with
//! microseconds; names are camelCase.

mod complete;
mod coverage;
mod event;
mod explore;
mod finding;
mod history;
mod incident;
mod library;
mod overview;
mod people;
mod place;
mod story;
mod subject;
mod tally;
mod trend;

pub use complete::{CompletionItem, CompletionView};
pub use coverage::{CoveragePage, CoverageView};
pub use event::{EventPage, EventStages, EventView, ProofView};
pub use explore::{
    CellView, ColumnView, ExploreView, FacetValue, FacetView, PartView, QuestionView, RowView,
};
pub use finding::{
    ActorView, AttributionView, CauseView, EvidenceView, FindingPage, FindingView, ObjectView, PersonView,
    RuleHits, RuleInFinding, RulePage, RuleView,
};
pub use history::HistoryView;
pub use incident::{
    BriefView, IncidentView, QueueFacet, QueueValue, QueueView, ReachView, RequestView, RuleInIncident,
};
pub(crate) use incident::{account, capital, headline, who, words};
pub use library::{AllowPage, AllowView, HuntPage, HuntView, NewAllow, NewHunt, SavedHuntView, TriedView};
pub use overview::{ChangeView, OverviewView, TacticView, TechniqueView};
pub(crate) use people::via;
pub use people::{
    Entered, NewTokenView, SessionPage, SessionView, TokenPage, TokenView, UserPage, UserView, WayView,
    WaysView, WhoView,
};
pub use place::{
    Balance, Completeness, DeadLetterPage, DeadLetterView, Gap, IntegrityView, ReplayView, SourcePage,
    SourceView, Verdict, Verification,
};
pub use story::{ParagraphView, StepView, StoryEventView, StoryPage, StoryView};
pub use subject::SubjectView;
pub use tally::{Bar, CountView, HistogramView, Series, Top, TopValue, TopView};
pub use trend::{Forecast, Growth, Lister, Ranked, Slow, SlowEvent, TrendsView, Trouble};
