//! Names of container images, as runtimes read them.

/// An image's name in its parts (`distribution/reference`, `ParseNormalizedNamed`).
pub(super) struct Image<'i> {
    repository: String,
    tag: Option<&'i str>,
    /// Hexadecimal digits of a SHA-256.
    pub digest: Option<&'i str>,
}

impl<'i> Image<'i> {
    /// Reads a name; `None` if it cannot be one.
    pub fn parse(name: &'i str) -> Option<Self> {
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.strip_prefix("sha256:")?)),
            None => (name, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        if path.is_empty() || path.contains(char::is_whitespace) || tag == Some("") {
            return None;
        }
        let (host, below) = match path.split_once('/') {
            Some((host, below)) if host.contains(['.', ':']) || host == "localhost" => (host, below),
            _ => ("docker.io", path),
        };
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        let official = host == "docker.io" && !below.contains('/');
        let repository = if official { format!("{host}/library/{below}") } else { format!("{host}/{below}") };
        Some(Self { repository, tag, digest })
    }

    /// As an indicator: the digest counts if there is one, else the tag if there is one.
    pub fn key(&self) -> String {
        match (self.digest, self.tag) {
            (Some(digest), _) => format!("{}@{digest}", self.repository),
            (None, Some(tag)) => format!("{}:{tag}", self.repository),
            (None, None) => self.repository.clone(),
        }
    }

    /// The indicators that mean it: of any version, of its tag, of its digest.
    pub fn keys(&self) -> impl Iterator<Item = String> {
        let tag = self.tag.or(self.digest.is_none().then_some("latest"));
        let tagged = tag.map(|tag| format!("{}:{tag}", self.repository));
        let exact = self.digest.map(|digest| format!("{}@{digest}", self.repository));
        [Some(self.repository.clone()), tagged, exact].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_indicator_means_the_versions_that_it_names() {
        let digest = "ab".repeat(32);
        let pinned = format!("example/miner:6.2@sha256:{digest}");
        let check = |indicator: &str, image: &str, want: bool| {
            let key = Image::parse(indicator).unwrap().key();
            assert_eq!(Image::parse(image).unwrap().keys().any(|k| k == key), want, "{indicator} of {image}");
        };
        check("example/miner", "example/miner:6.2", true);
        check("docker.io/example/miner", &pinned, true);
        check("example/miner:6.2", &pinned, true);
        check("example/miner:6.3", &pinned, false);
        check("miner:latest", "index.docker.io/library/miner", true);
        check("localhost:5000/a", "localhost:5000/a:1", true);
        check(&format!("example/miner@sha256:{digest}"), &pinned, true);
        check(&format!("example/miner@sha256:{digest}"), "example/miner:6.2", false);
        assert!(Image::parse("a b").is_none() && Image::parse("a@md5:x").is_none());
    }
}
