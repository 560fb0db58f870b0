//! Can I prove that nothing was altered?
