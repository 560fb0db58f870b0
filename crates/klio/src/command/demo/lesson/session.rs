//! A lesson in the terminal: questions, replies, hints, and what was learnt.

use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use crate::lab::{Lesson, Question, Verdict};
use crate::output::{Paint, plain};

/// Bytes of a reply that are read.
const MOST: u64 = 4096;
/// Characters of a line of prose.
const WIDTH: usize = 96;

/// Who asks and who answers.
pub struct Session<'s> {
    /// The learner's replies, a line each.
    pub input: &'s mut dyn BufRead,
    /// Where questions go.
    pub out: &'s mut dyn Write,
    /// Whether replies are written out, because no terminal shows them.
    pub echo: bool,
    /// Colours.
    pub paint: Paint,
}

/// How a question ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Solved { hinted: bool },
    Unsolved,
    Quit,
}

impl Session<'_> {
    /// Tells the situation and where the log is.
    pub fn begin(&mut self, lesson: &Lesson, dir: &Path) -> io::Result<()> {
        let heading = self.paint.bold(&format!("Lesson {}: {}", lesson.number, lesson.head.title));
        writeln!(self.out, "{heading}\n\n{}\n", wrapped(lesson.situation))?;
        writeln!(
            self.out,
            "The commands of this lesson are for another terminal, in the directory of its log:\n"
        )?;
        writeln!(self.out, "  $ cd {}\n", dir.display())?;
        writeln!(self.out, "Answer in a line, or type hint, show (the answer), skip or quit.")
    }

    /// Asks all questions; `false` if the learner left before the end.
    pub fn ask(&mut self, lesson: &Lesson) -> io::Result<bool> {
        let of = lesson.questions.len();
        let (mut solved, mut hinted) = (0, 0);
        for (index, question) in lesson.questions.iter().enumerate() {
            let heading = self.paint.bold(&format!("{} of {of}. {}", index + 1, question.ask));
            writeln!(self.out, "\n{heading}")?;
            match self.question(question)? {
                Ended::Solved { hinted: with } => {
                    solved += 1;
                    hinted += usize::from(with);
                }
                Ended::Unsolved => {}
                Ended::Quit => {
                    writeln!(self.out, "\nYou found {solved} of {of} answers before you left.")?;
                    return Ok(false);
                }
            }
        }
        let how = match hinted {
            0 => String::new(),
            n => format!(", {n} of them with the hint"),
        };
        let score = self.paint.bold(&format!("You found {solved} of {of} answers{how}."));
        writeln!(self.out, "\n{score}")?;
        Ok(true)
    }

    fn question(&mut self, question: &Question) -> io::Result<Ended> {
        let (mut wrong, mut hinted) = (0, false);
        loop {
            let Some(reply) = self.reply()? else { return Ok(Ended::Quit) };
            match reply.to_lowercase().as_str() {
                "" => continue,
                "quit" | "exit" => return Ok(Ended::Quit),
                "skip" => return Ok(Ended::Unsolved),
                "show" => {
                    writeln!(self.out, "\nIt is {}.\n", self.paint.bold(&question.answer.shown()))?;
                    self.explain(question)?;
                    return Ok(Ended::Unsolved);
                }
                "hint" => {
                    hinted = true;
                    self.hint(question)?;
                    continue;
                }
                _ => {}
            }
            match question.answer.judge(&reply) {
                Verdict::Right => {
                    writeln!(self.out, "\n{}\n", self.paint.with("1;32", "Right."))?;
                    self.explain(question)?;
                    return Ok(Ended::Solved { hinted });
                }
                Verdict::NoNumber => {
                    writeln!(self.out, "A number is asked for, one of them.")?;
                }
                Verdict::Partly { right, of } if right == of => {
                    writeln!(self.out, "All {of} are among them, but something is too much.")?;
                }
                Verdict::Partly { right, of } => {
                    writeln!(self.out, "Good so far: {right} of {of}. Name them all in one line.")?;
                }
                Verdict::Wrong => {
                    wrong += 1;
                    writeln!(self.out, "{}", told(wrong))?;
                    if wrong == 2 && !hinted {
                        hinted = true;
                        self.hint(question)?;
                    }
                }
            }
        }
    }

    /// A line of the learner's, without blanks around it; nothing at the end.
    fn reply(&mut self) -> io::Result<Option<String>> {
        write!(self.out, "{} ", self.paint.dim(">"))?;
        self.out.flush()?;
        let mut line = Vec::new();
        (&mut *self.input).take(MOST).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            writeln!(self.out)?;
            return Ok(None);
        }
        let reply = String::from_utf8_lossy(&line).trim().to_owned();
        if self.echo {
            writeln!(self.out, "{}", plain(&reply))?;
        }
        Ok(Some(reply))
    }

    fn hint(&mut self, question: &Question) -> io::Result<()> {
        writeln!(self.out, "\n{}\n", wrapped(question.hint))?;
        for command in question.terms.tries.all() {
            writeln!(self.out, "  $ {command}")?;
        }
        writeln!(self.out)
    }

    fn explain(&mut self, question: &Question) -> io::Result<()> {
        writeln!(self.out, "{}", wrapped(question.explanation))?;
        if !question.terms.evidence.is_empty() {
            let evidence = format!("Evidence: {}", question.terms.evidence.join(", "));
            writeln!(self.out, "\n{}", self.paint.dim(&evidence))?;
        }
        Ok(())
    }

    /// Tells what was learnt and how to go on.
    pub fn end(&mut self, lesson: &Lesson, dir: &Path, next: Option<&Lesson>) -> io::Result<()> {
        writeln!(self.out, "\n{}\n", wrapped(lesson.ending))?;
        if let Some(rule) = lesson.head.rules.first() {
            writeln!(self.out, "Klio's rules that find something of it: {}.", lesson.head.rules.join(", "))?;
            writeln!(self.out, "\n  $ klio rule show {rule}\n")?;
        }
        if cfg!(feature = "lake") {
            let (log, lake) = (dir.join(crate::lab::LOG), dir.join("lake"));
            let (log, lake) = (log.display(), lake.display());
            writeln!(self.out, "To keep the log in a lake, and ask it in SQL as well:\n")?;
            writeln!(self.out, "  $ klio ingest {log} --data {lake}")?;
            let query = "SELECT user_name, count(*) FROM events GROUP BY 1 ORDER BY 2 DESC";
            writeln!(self.out, "  $ klio sql '{query}' --data {lake}")?;
        }
        if let Some(next) = next {
            writeln!(self.out, "\nNext: {}.\n\n  $ klio demo --lab {}", next.head.title, next.slug)?;
        }
        Ok(())
    }
}

/// What is said of a wrong reply.
fn told(wrong: u32) -> &'static str {
    match wrong {
        1 => "Not that one. Have another look at the events.",
        2 => "Not yet. Here is the hint.",
        _ => "Not yet. Try again, or type show.",
    }
}

/// The paragraphs of a page in lines that fit a terminal. What stands between backticks is to be copied, and stays in one.
fn wrapped(page: &str) -> String {
    let paragraphs = page.split("\n\n").map(|paragraph| {
        let (mut text, mut width, mut quoted) = (String::new(), 0, false);
        for word in paragraph.split_whitespace() {
            let long = word.chars().count();
            if width > 0 && width + 1 + long > WIDTH && !quoted {
                text.push('\n');
                width = 0;
            } else if width > 0 {
                text.push(' ');
                width += 1;
            }
            text.push_str(word);
            width += long;
            quoted ^= word.matches('`').count() % 2 == 1;
        }
        text
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn prose_fits_and_commands_stay_whole() {
        let command =
            "`klio hunt 'user:alice@corp.example and verb:delete and resource:events' audit.jsonl.zst`";
        let page = format!("Some words before {command} and some\nafter.\n\nAnother paragraph.");
        let told = wrapped(&page);
        assert!(told.lines().any(|line| line.contains(command)), "{told}");
        assert!(told.ends_with("after.\n\nAnother paragraph."), "{told}");
        assert!(wrapped(&"word ".repeat(100)).lines().all(|line| line.len() <= super::WIDTH));
    }
}
