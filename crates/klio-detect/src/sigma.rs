//! Sigma 2.1 rules (written by the sigma slice).
