//! `klio demo --lab`

mod session;

use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::lab::{self, LOG, Lesson, Of, Proof, recording};
use crate::output::{Grid, Paint};

/// The training lab.
#[derive(clap::Args)]
#[command(next_help_heading = "Training lab")]
pub struct Lab {
    /// List the lessons, or begin the one with this number or name: its log is unpacked, and questions are asked about it.
    #[arg(long, value_name = "LESSON", num_args = 0..=1, conflicts_with_all = ["output", "timeline", "keep"])]
    lab: Option<Option<String>>,
    /// Unpack the log to this directory; ./klio-lab/LESSON unless given.
    #[arg(long, value_name = "DIR", requires = "lab")]
    to: Option<PathBuf>,
    /// Print the lesson with its answers, or all of them, as Markdown: for teachers, and for reading.
    #[arg(long, requires = "lab", conflicts_with = "to")]
    answers: bool,
}

impl Lab {
    /// Whether it was asked for.
    pub fn is_wanted(&self) -> bool {
        self.lab.is_some()
    }

    /// Runs it.
    pub fn run(self) -> Result<(), Failure> {
        let lessons = lab::all();
        let mut out = BufWriter::new(std::io::stdout().lock());
        let Some(name) = self.lab.flatten() else {
            if self.answers {
                lessons.iter().try_for_each(|lesson| teach(lesson, &mut out))?;
            } else if self.to.is_some() {
                return Err(
                    Failure::usage("which lesson is to be unpacked?").hint("klio demo --lab 1 --to DIR")
                );
            } else {
                list(&lessons, &mut out)?;
            }
            return Ok(out.flush()?);
        };
        let lesson = find(&lessons, &name)?;
        if self.answers {
            teach(lesson, &mut out)?;
            return Ok(out.flush()?);
        }
        let dir = self.to.unwrap_or_else(|| Path::new("klio-lab").join(lesson.slug));
        unpack(lesson, &dir)?;
        let stdin = std::io::stdin();
        let echo = !stdin.is_terminal();
        let mut session =
            session::Session { input: &mut stdin.lock(), out: &mut out, echo, paint: Paint::of_stdout() };
        session.begin(lesson, &dir)?;
        if session.ask(lesson)? {
            let next = lessons.iter().find(|next| next.number > lesson.number);
            session.end(lesson, &dir, next)?;
        }
        Ok(out.flush()?)
    }
}

fn find<'l>(lessons: &'l [Lesson], name: &str) -> Result<&'l Lesson, Failure> {
    let is = |lesson: &&Lesson| lesson.slug.eq_ignore_ascii_case(name) || name.parse() == Ok(lesson.number);
    lessons.iter().find(is).ok_or_else(|| {
        let failure = Failure::usage(format!("there is no lesson `{name}`"));
        let distance = |lesson: &&Lesson| strsim::damerau_levenshtein(lesson.slug, name);
        match lessons.iter().min_by_key(distance).filter(|near| distance(near) < 4) {
            Some(near) => failure.hint(format!("did you mean `{}`?", near.slug)),
            None => failure.hint("`klio demo --lab` lists them"),
        }
    })
}

fn list(lessons: &[Lesson], out: &mut dyn Write) -> Result<(), Failure> {
    let mut grid = Grid::new(&["", "lesson", "title", "teaches", "level", "questions"]);
    for Lesson { number, slug, head, questions, .. } in lessons {
        let (level, questions) = ("*".repeat(usize::from(head.level)), questions.len().to_string());
        grid.row(vec![
            number.to_string(),
            (*slug).into(),
            head.title.clone(),
            head.teaches.clone(),
            level,
            questions,
        ]);
    }
    write!(out, "{grid}")?;
    eprintln!(
        "klio: `klio demo --lab 1` begins the first; all logs were recorded from a real Kubernetes 1.36 cluster"
    );
    Ok(())
}

/// Writes a lesson's files to a directory, over nothing but themselves.
fn unpack(lesson: &Lesson, dir: &Path) -> Result<(), Failure> {
    let failed = |path: &Path, e: std::io::Error| {
        Failure::world(format!("{}: {e}", path.display())).hint("--to DIR names another directory")
    };
    std::fs::create_dir_all(dir).map_err(|e| failed(dir, e))?;
    for (name, from) in &lesson.head.files {
        let (path, bytes) = (dir.join(name), recording(from).unwrap_or_default());
        match std::fs::read(&path) {
            Ok(there) if there == bytes => {}
            Ok(_) => {
                return Err(Failure::usage(format!("{} is there and is another file", path.display()))
                    .hint("--to DIR names another directory"));
            }
            Err(_) => std::fs::write(&path, bytes).map_err(|e| failed(&path, e))?,
        }
    }
    Ok(())
}

/// Prints a lesson with its answers, as Markdown.
fn teach(lesson: &Lesson, out: &mut dyn Write) -> Result<(), Failure> {
    let Lesson { number, slug, head, situation, questions, ending } = lesson;
    writeln!(out, "# {number}. {}\n\n{situation}\n", head.title)?;
    writeln!(out, "Lesson `{slug}`, level {}: {}.\n", head.level, head.teaches)?;
    for (index, question) in questions.iter().enumerate() {
        writeln!(out, "## {number}.{} {}\n\nHint: {}\n", index + 1, question.ask, question.hint)?;
        commands(question.terms.tries.all(), out)?;
        writeln!(out, "Answer: {}\n", question.answer.shown())?;
        for proof in question.terms.proof.all() {
            writeln!(out, "{}\n", told(proof))?;
        }
        if !question.terms.evidence.is_empty() {
            writeln!(out, "Evidence: {}\n", question.terms.evidence.join(", "))?;
        }
        writeln!(out, "{}\n", question.explanation)?;
    }
    writeln!(out, "## What was learnt\n\n{ending}\n")?;
    if !head.rules.is_empty() {
        writeln!(out, "Rules that find something of it: {}.\n", head.rules.join(", "))?;
    }
    Ok(())
}

/// Commands, as a block of code.
fn commands(commands: &[String], out: &mut dyn Write) -> std::io::Result<()> {
    commands.iter().try_for_each(|command| writeln!(out, "    $ {command}"))?;
    writeln!(out)
}

/// A proof, as a teacher would try it.
fn told(proof: &Proof) -> String {
    match proof {
        Proof::Output(output) => format!("Proof:\n\n    $ {}\n\nsays `{}`", output.run, output.says),
        Proof::Events(events) => {
            let field = &events.field;
            let what = match events.of {
                Of::Each => format!("the field {field}"),
                Of::Count => format!("how many different values {field} has"),
                Of::First => format!("{field} of the earliest"),
                Of::Last => format!("{field} of the latest"),
            };
            let is = events.is.as_ref().map(|is| format!(": {}", is.all().join(", "))).unwrap_or_default();
            let file = events.file.as_deref().unwrap_or(LOG);
            format!("Proof: {what}{is}\n\n    $ klio hunt '{}' {file}", events.filter)
        }
    }
}
