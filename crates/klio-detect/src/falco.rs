//! Falco rules of source `k8s_audit` (written by the falco slice).

/// A compiled output template.
#[derive(Clone, Debug)]
pub struct Output;
