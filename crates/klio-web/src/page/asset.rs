//! What browsers load beside the pages: style, script, libraries. They are the same for everybody, so no gate stands before them.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

struct Asset {
    name: &'static str,
    kind: &'static str,
    plain: &'static [u8],
    packed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

pub(crate) fn routes() -> Router {
    Router::new().route("/assets/{tag}/{name}", get(asset))
}

/// A file; its address has a tag that changes with it, so browsers keep it.
async fn asset(Path((tag, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| tag == TAG && asset.name == name) else {
        return (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], "there is no such file")
            .into_response();
    };
    let takes =
        headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let gzip = takes.split(',').any(|way| way.trim() == "gzip");
    let fixed = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "Accept-Encoding"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    if gzip {
        (fixed, [(header::CONTENT_ENCODING, "gzip")], asset.packed).into_response()
    } else {
        (fixed, asset.plain).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_a_browser_loads_is_small() {
        let size: usize = ASSETS.iter().map(|asset| asset.packed.len()).sum();
        assert!(size < 200 << 10, "{size} bytes");
    }
}
