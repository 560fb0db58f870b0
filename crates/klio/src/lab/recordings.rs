//! The recorded files that come with the program.

macro_rules! recordings {
    ($($path:literal),* $(,)?) => {
        /// What was recorded under this path below `fixtures/recorded`, compressed as it lies there.
        pub fn recording(path: &str) -> Option<&'static [u8]> {
            match path {
                $($path => Some(include_bytes!(concat!("../../../../fixtures/recorded/", $path))),)*
                _ => None,
            }
        }

        /// The paths.
        #[cfg(test)]
        pub const PATHS: &[&str] = &[$($path),*];
    };
}

recordings!(
    "attacks/01-anonymous-access/recommended.jsonl.zst",
    "attacks/02-bruteforce-401/metadata.jsonl.zst",
    "attacks/04-secrets-mass-read/recommended.jsonl.zst",
    "attacks/06-exec-attach-portforward/recommended.jsonl.zst",
    "attacks/07-privileged-pod/metadata.jsonl.zst",
    "attacks/07-privileged-pod/recommended.jsonl.zst",
    "attacks/11-cluster-admin-binding/recommended.jsonl.zst",
    "attacks/14-impersonate-masters/metadata.jsonl.zst",
    "attacks/15-tokenrequest-minting/recommended.jsonl.zst",
    "attacks/17-mutating-webhook/recommended.jsonl.zst",
    "attacks/18-cronjob-daemonset-persistence/recommended.jsonl.zst",
    "attacks/20-events-deletion/recommended.jsonl.zst",
    "attacks/22-node-proxy/metadata.jsonl.zst",
    "attacks/25-secrets-slow-exfil/recommended.stretched.jsonl.zst",
    "attacks/30-pod-with-privileged-sa/recommended.jsonl.zst",
    "benign/recommended.jsonl.zst",
    "killchain/recommended.jsonl.zst",
    "policies/metadata.yaml",
    "policies/recommended.yaml",
);
