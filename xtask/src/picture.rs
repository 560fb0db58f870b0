//! The picture in the README: what `klio demo` prints, with its colours, as an SVG.

use std::fmt::Write as _;

use crate::run;

/// Columns of the terminal that is drawn.
const COLUMNS: usize = 118;
/// Lines that are drawn; more are cut off.
const LINES: usize = 46;
/// Size of a character cell in SVG units.
const CELL: (f64, f64) = (7.8, 17.0);
/// Where the picture lies.
const PATH: &str = "docs/scan.svg";

/// Draws `docs/scan.svg` anew.
pub fn draw() -> Result<(), String> {
    run::run(run::cargo(&["build", "--quiet", "--package", "klio"]))?;
    // `script` (util-linux) lends a terminal: colours and width are what a person sees.
    let mut demo = std::process::Command::new("script");
    let line = format!("stty cols {COLUMNS}; '{}' demo 2>/dev/null", run::built("debug", "klio").display());
    demo.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_remove("NO_COLOR");
    let text = run::output(demo)?.replace('\r', "");
    std::fs::write(PATH, svg(&text)).map_err(|error| format!("{PATH}: {error}"))?;
    println!("{PATH}");
    Ok(())
}

/// A terminal's window with `text` in it.
fn svg(text: &str) -> String {
    let mut paint = Paint::default();
    let mut lines: Vec<Line> = text.lines().flat_map(|line| wrapped(spans(line, &mut paint))).collect();
    let cut = lines.len() > LINES;
    lines.truncate(LINES);
    let rows = lines.len() + 2 + usize::from(cut);
    let (width, height) = (COLUMNS as f64 * CELL.0 + 32.0, rows as f64 * CELL.1 + 32.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" \
         aria-label=\"klio demo in a terminal\" font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, \
         monospace\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#11151c\"/>\n"
    );
    let row = |out: &mut String, at: usize, spans: &[(Paint, String)]| {
        let y = 16.0 + CELL.1 * (at as f64 + 0.8);
        let mut column = 0usize;
        for (paint, span) in spans {
            let length = span.chars().count();
            if !span.trim().is_empty() {
                let x = 16.0 + CELL.0 * column as f64;
                // The stated length keeps columns straight whatever font is there.
                let _ = writeln!(
                    out,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" xml:space=\"preserve\" textLength=\"{:.1}\"{}>{}</text>",
                    CELL.0 * length as f64,
                    paint.attributes(),
                    escaped(span)
                );
            }
            column += length;
        }
    };
    let prompt = Paint { colour: Some("#7ee787"), ..Paint::default() };
    row(&mut out, 0, &[(prompt, "$ ".to_owned()), (Paint::default(), "klio demo".to_owned())]);
    for (at, line) in lines.iter().enumerate() {
        row(&mut out, at + 2, line);
    }
    if cut {
        let faint = Paint { faint: true, ..Paint::default() };
        row(&mut out, rows - 1, &[(faint, "…".to_owned())]);
    }
    out.push_str("</svg>\n");
    out
}

/// How text looks: the part of SGR (ECMA-48, 8.3.117) that terminal programs use.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Paint {
    colour: Option<&'static str>,
    bold: bool,
    faint: bool,
}

impl Paint {
    fn attributes(self) -> String {
        let mut text = format!(" fill=\"{}\"", self.colour.unwrap_or("#d7dde5"));
        if self.bold {
            text.push_str(" font-weight=\"bold\"");
        }
        if self.faint {
            text.push_str(" opacity=\"0.6\"");
        }
        text
    }

    fn apply(&mut self, codes: &str) {
        let mut codes = codes.split(';').map(|code| code.parse::<u8>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.faint = true,
                22 => (self.bold, self.faint) = (false, false),
                30..=37 => self.colour = Some(COLOURS[usize::from(code - 30)]),
                90..=97 => self.colour = Some(COLOURS[usize::from(code - 90)]),
                39 => self.colour = None,
                // An indexed colour: of 256 only the first sixteen are known here.
                38 if codes.next() == Some(5) => {
                    let index = usize::from(codes.next().unwrap_or(7));
                    self.colour = COLOURS.get(index % 8).copied().filter(|_| index < 16);
                }
                _ => {}
            }
        }
    }
}

/// Black to white on a dark ground.
const COLOURS: [&str; 8] =
    ["#6e7681", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#f0f6fc"];

/// The stretches of a line that look alike.
type Line = Vec<(Paint, String)>;

/// A line broken between words where it is longer than the terminal; the rest keeps its indentation.
fn wrapped(line: Line) -> Vec<Line> {
    let whole: String = line.iter().map(|(_, text)| text.as_str()).collect();
    let indent = whole.chars().take_while(|c| *c == ' ').count().min(COLUMNS / 2);
    let mut rows = vec![Line::new()];
    let mut column = 0;
    for (paint, text) in line {
        for word in text.split_inclusive(' ') {
            let length = word.trim_end().chars().count();
            if column + length > COLUMNS && column > indent {
                rows.push(vec![(Paint::default(), " ".repeat(indent))]);
                column = indent;
            }
            column += word.chars().count();
            let Some(row) = rows.last_mut() else { continue };
            match row.last_mut() {
                Some((last, before)) if *last == paint => before.push_str(word),
                _ => row.push((paint, word.to_owned())),
            }
        }
    }
    rows
}

fn spans(line: &str, paint: &mut Paint) -> Line {
    let mut found = Vec::new();
    for (number, part) in line.split("\u{1b}[").enumerate() {
        let text = if number == 0 {
            part
        } else {
            let Some((codes, text)) = part.split_once('m') else { continue };
            paint.apply(codes);
            text
        };
        if !text.is_empty() {
            found.push((*paint, text.to_owned()));
        }
    }
    found
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_spans() {
        let mut paint = Paint::default();
        let spans = spans("a\u{1b}[1;31mb\u{1b}[0mc", &mut paint);
        let texts: Vec<_> = spans.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(texts, ["a", "b", "c"]);
        assert_eq!(spans[1].0, Paint { colour: Some("#ff7b72"), bold: true, faint: false });
        assert_eq!(spans[2].0, Paint::default());
    }

    #[test]
    fn markup_in_a_log_stays_text() {
        assert!(svg("<script>").contains("&lt;script&gt;"));
    }
}
