//! Sigma correlations over event time (written by the sigma slice).

/// One compiled correlation.
#[derive(Clone, Debug)]
pub struct Correlation;

/// The state of all correlations.
#[derive(Debug)]
pub struct Correlator;
