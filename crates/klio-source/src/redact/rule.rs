//! The built-in rules by name.

/// Why something was removed; the name stands in the marker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) enum Rule {
    SecretData,
    Token,
    Csr,
    Env,
    Args,
    UrlToken,
    UrlPassword,
    Bearer,
    Pem,
    Jwt,
    AwsKey,
    VendorToken,
    Assignment,
    ConfigMapKey,
    CustomResource,
    Message,
    LastApplied,
    /// Below the depth that is followed.
    Deep,
    /// One of the policy's paths.
    Path,
    /// One of the policy's patterns.
    Pattern(u16),
}

impl Rule {
    /// As it stands in a marker; a pattern of the policy has its own name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SecretData => "secret.data",
            Self::Token => "token",
            Self::Csr => "csr",
            Self::Env => "env",
            Self::Args => "args",
            Self::UrlToken => "url.token",
            Self::UrlPassword => "password-url",
            Self::Bearer => "bearer",
            Self::Pem => "pem",
            Self::Jwt => "jwt",
            Self::AwsKey => "aws-key",
            Self::VendorToken => "vendor-token",
            Self::Assignment => "assignment",
            Self::ConfigMapKey => "configmap.data",
            Self::CustomResource => "custom.key",
            Self::Message => "message",
            Self::LastApplied => "last-applied",
            Self::Deep => "deep",
            Self::Path => "path",
            Self::Pattern(_) => "pattern",
        }
    }
}
