//! Stages as a set.

use std::fmt;

use klio_model::Stage;

/// Some of the stages of a request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stages(u8);

impl Stages {
    /// Those that audit.k8s.io/v1 names, in the order in which they come.
    pub const ALL: [Stage; 4] =
        [Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete, Stage::Panic];

    fn bit(stage: Stage) -> u8 {
        Self::ALL.iter().position(|s| *s == stage).map_or(0, |n| 1 << n)
    }

    /// This one alone; an unstated stage is none.
    pub fn of(stage: Stage) -> Self {
        Self(Self::bit(stage))
    }

    /// Adds a stage.
    pub fn insert(&mut self, stage: Stage) {
        self.0 |= Self::bit(stage);
    }

    /// What is in either.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is not in the other.
    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Each, in the order in which they come.
    pub fn iter(self) -> impl Iterator<Item = Stage> {
        Self::ALL.into_iter().filter(move |s| self.0 & Self::bit(*s) != 0)
    }
}

impl fmt::Display for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Stage::name).collect();
        f.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Stages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
