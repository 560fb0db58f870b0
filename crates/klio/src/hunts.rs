//! The library of hunts: questions that somebody should ask now and then, one page each (`hunts/*.md`).

use include_dir::{Dir, include_dir};

/// The pages, as they are in the repository.
static LIBRARY: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../hunts");

/// A hunt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hunt {
    /// The page's name without `.md`.
    pub slug: &'static str,
    /// The question.
    pub title: &'static str,
    /// The ATT&CK tactic, or `none`.
    pub tactic: &'static str,
    /// The technique, or `none`.
    pub technique: &'static str,
    /// How it is asked.
    pub ask: Ask,
    /// The whole page, Markdown.
    pub page: &'static str,
}

/// How a hunt is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A filter, of files and of the lake.
    Filter(&'static str),
    /// SQL, of the lake alone.
    Sql(&'static str),
}

/// All of them, by name.
pub fn all() -> Vec<Hunt> {
    let mut all: Vec<Hunt> = LIBRARY.files().filter_map(read).collect();
    all.sort_by_key(|hunt| hunt.slug);
    all
}

/// The one of that name.
pub fn named(slug: &str) -> Option<Hunt> {
    LIBRARY.get_file(format!("{slug}.md")).and_then(read)
}

/// The name that is nearest to a wrong one.
pub fn nearest(slug: &str) -> Option<&'static str> {
    let distance = |hunt: &Hunt| strsim::damerau_levenshtein(hunt.slug, slug);
    all().into_iter().min_by_key(distance).map(|hunt| hunt.slug)
}

fn read(file: &'static include_dir::File<'static>) -> Option<Hunt> {
    let slug = file.path().file_name()?.to_str()?.strip_suffix(".md")?;
    let page = file.contents_utf8()?;
    let line = |prefix: &str| page.lines().find_map(|line| line.strip_prefix(prefix));
    let block = |fence: &str| Some(page.split_once(fence)?.1.split_once("\n```")?.0.trim());
    let ask = block("\n```filter\n").map(Ask::Filter).or_else(|| block("\n```sql\n").map(Ask::Sql))?;
    Some(Hunt {
        slug,
        title: line("# ")?,
        tactic: line("Tactic: ")?,
        technique: line("Technique: ")?,
        ask,
        page,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use klio_model::{Event, Filter};
    use klio_source::{Chunks, Item, Options, Pool, decode, discover};

    use super::*;

    #[test]
    fn every_page_is_a_hunt_with_all_its_parts() {
        let files = LIBRARY.files().count();
        let hunts = all();
        assert!(files >= 40 && hunts.len() == files, "{} of {files}", hunts.len());
        for hunt in hunts {
            for part in ["\n## Ask\n", "\n## How to read the answer\n", "\n## Next\n", "\n## Tried on\n"] {
                assert!(hunt.page.contains(part), "{}: {part}", hunt.slug);
            }
            if let Ask::Filter(filter) = hunt.ask {
                let parsed = Filter::parse(filter);
                assert!(parsed.is_ok(), "{}: {parsed:?}", hunt.slug);
            }
        }
    }

    /// What a page says that it finds, by file.
    fn tried(hunt: &Hunt) -> Vec<(&'static str, usize)> {
        let tried = hunt.page.split_once("\n## Tried on\n").unwrap().1;
        let lines = tried.lines().filter_map(|line| line.split_once(": "));
        lines
            .map(|(file, rows)| (file, rows.parse().unwrap_or_else(|_| panic!("{}: {rows}", hunt.slug))))
            .collect()
    }

    #[test]
    fn each_filter_finds_on_the_recorded_logs_what_its_page_says() {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/recorded");
        let mut by_file: BTreeMap<&str, Vec<(&str, Filter, usize)>> = BTreeMap::new();
        for hunt in all() {
            let Ask::Filter(filter) = hunt.ask else { continue };
            for (file, rows) in tried(&hunt) {
                by_file.entry(file).or_default().push((hunt.slug, Filter::parse(filter).unwrap(), rows));
            }
        }
        assert!(by_file.len() > 5);
        for (file, hunts) in by_file {
            let mut found = vec![0; hunts.len()];
            let inputs = discover(&[recorded.join(file)]).inputs;
            assert_eq!(inputs.len(), 1, "{file}");
            for chunk in Chunks::new(&inputs[0], &Options::default(), &Pool::default()) {
                decode(&chunk, &mut |item| {
                    let Item::Record(record) = item else { return };
                    let event = Event::parse(record.json).unwrap();
                    for ((_, filter, _), found) in hunts.iter().zip(&mut found) {
                        *found += usize::from(filter.matches(&event));
                    }
                });
            }
            for ((slug, _, rows), found) in hunts.iter().zip(found) {
                assert_eq!(found, *rows, "{slug} on {file}");
            }
        }
    }
}
