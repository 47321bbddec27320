//! `keyfob adopt`: adopts the users of another system from a file.

mod rows;

use std::path::PathBuf;

use clap::Args;
use keyfob::guard::{Adoptee, Adoption, GuardError, OperatorId};
use keyfob::store::{Accounts, MemoryStore, Store as _};
use keyfob::{Guard, Strength};
use serde::Serialize;

use self::rows::{Encoding, Row};
use crate::exit::{Exit, Failure, chain, exit_of};
use crate::input;
use crate::interrupt::Interrupt;
use crate::operator::status::strength;
use crate::output::{Output, count, replace_private};
use crate::session::{ChangeArguments, KeyArguments, Session};

/// Adopt the users of another system from CSV or JSON lines
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  keyfob adopt users.csv --dry-run
  keyfob adopt users.csv --rejects rejects.csv --log adoption.log
  psql old -c 'COPY (SELECT ...) TO STDOUT CSV HEADER' | keyfob adopt -

Columns or fields:
  user         the user, as your application calls this account (required)
  uri          the otpauth URI; or, instead of it:
  secret       the secret, in base32 unless --secret-encoding says otherwise
  type         totp (the default) or hotp
  algorithm    SHA1 (the default), SHA256 or SHA512
  digits       6 (the default), 7 or 8
  period       in seconds, 30 by default
  counter      for hotp: the counter of the next code
  last_used    the step (Unix time / period) or counter of the last used code
  name         by which the user recognizes the authenticator

The authenticators are active at once, and users log in with the same app as before. A user in several rows gets all \
of these authenticators, up to eight. Users who have, or had, a second factor in keyfob are kept as they are, so the \
command can be repeated. Disable logins in the old system first, and empty its column afterwards. Delete the file as \
well: it holds secrets.")]
pub(crate) struct Arguments {
    /// The file, or `-` for standard input
    file: PathBuf,

    /// Check each row, but store nothing
    #[arg(long)]
    dry_run: bool,

    /// Write the rows that were refused to this CSV file: line, user and reason, but no secret
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,

    /// How the column `secret` is encoded
    #[arg(long, value_enum, value_name = "ENCODING", default_value_t = Encoding::Base32)]
    secret_encoding: Encoding,

    #[command(flatten)]
    change: ChangeArguments,

    #[command(flatten)]
    keys: KeyArguments,
}

/// The JSON of a row.
#[derive(Serialize)]
struct Line<'a> {
    line: u64,
    user: &'a str,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticator: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strength: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// The last line.
#[derive(Default, Serialize)]
struct Summary {
    command: &'static str,
    dry_run: bool,
    interrupted: bool,
    rows: u64,
    adopted: u64,
    kept: u64,
    rejected: u64,
    weak: u64,
}

pub(crate) async fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Failure> {
    let rows = rows::read(&input::read(&arguments.file)?, arguments.secret_encoding)?;
    if rows.is_empty() {
        return Err(Failure::refused("there is no user in the file"));
    }
    let rejects = arguments.rejects.as_deref().map(replace_private).transpose()?;
    let mut rejects = rejects.map(csv::Writer::from_writer);
    if let Some(file) = &mut rejects {
        file.write_record(["line", "user", "reason"]).map_err(Failure::failed)?;
    }
    let session = arguments.change.open_with_keys(&arguments.keys, output).await?;
    let summary = Summary { command: "adopt", dry_run: arguments.dry_run, ..Summary::default() };
    let mut run = Run { output, session: &session, rejects, summary, worst: Exit::Done };
    let answer = run.all(rows).await;
    let answer = run.finish(answer);
    session.close(answer).await
}

struct Run<'a> {
    output: &'a Output,
    session: &'a Session,
    rejects: Option<csv::Writer<std::fs::File>>,
    summary: Summary,
    worst: Exit,
}

impl Run<'_> {
    async fn all(&mut self, mut rows: Vec<Row>) -> Result<(), Failure> {
        // The rows of a user must be in the same batch.
        rows.sort_by(|a, b| a.user.cmp(&b.user));
        let interrupt = Interrupt::listen(self.output)?;
        let mut progress = self.output.progress("Adopting", Some(rows.len() as u64));
        let mut rest = rows.as_mut_slice();
        while !rest.is_empty() {
            if interrupt.is_requested() {
                self.summary.interrupted = true;
                return Ok(());
            }
            let (batch, others) = rest.split_at_mut(batch_end(rest));
            rest = others;
            self.batch(batch).await?;
            progress.set(self.summary.rows);
        }
        Ok(())
    }

    async fn batch(&mut self, rows: &mut [Row]) -> Result<(), Failure> {
        let mut adoptees = Vec::with_capacity(rows.len());
        for row in &mut *rows {
            // The secrets move, so that only one copy is in memory.
            adoptees.extend(row.take());
        }
        let operator = &self.session.operator;
        let answers = match self.summary.dry_run {
            true => self.rehearse(&adoptees, operator).await?,
            false => self.session.guard.adopt_batch(&adoptees, operator).await?,
        };
        let mut answers = adoptees.iter().zip(answers);
        for row in rows {
            self.summary.rows += 1;
            let refused = match row.refused() {
                Some(reason) => Err(reason.to_owned()),
                None => match answers.next() {
                    Some((adoptee, Ok(answer))) => Ok((adoptee, answer)),
                    Some((_, Err(error))) => {
                        self.worst = self.worst.max(exit_of(&error));
                        Err(chain(&error))
                    }
                    None => Err("the library gave no answer for this row".into()),
                },
            };
            match refused {
                Ok((adoptee, answer)) => self.adopted(row, adoptee, &answer)?,
                Err(reason) => self.rejected(row, &reason)?,
            }
        }
        Ok(())
    }

    /// Adopts into a copy of the records in memory, so that a rehearsal refuses exactly what the command would refuse.
    async fn rehearse(
        &self,
        adoptees: &[Adoptee],
        operator: &OperatorId,
    ) -> Result<Vec<Result<Adoption, GuardError>>, Failure> {
        let copy = MemoryStore::new();
        for adoptee in adoptees {
            let loaded = self.session.guard.store().load(&adoptee.user).await;
            let loaded = loaded.map_err(|error| Failure::failed(format_args!("the store: {}", chain(&*error))))?;
            if let Some((_, record)) = loaded {
                let Ok(_) = copy.insert(&[(adoptee.user.as_str(), record.as_slice())]).await;
            }
        }
        let guard = Guard::new(copy, self.session.keyring.clone(), "").with_policy(self.session.policy.clone());
        Ok(guard.adopt_batch(adoptees, operator).await?)
    }

    fn adopted(&mut self, row: &Row, adoptee: &Adoptee, answer: &Adoption) -> Result<(), Failure> {
        let strength_of = adoptee.uri.secret().strength();
        let (outcome, authenticator) = match answer {
            Adoption::Adopted(id) => {
                self.summary.adopted += 1;
                self.summary.weak += u64::from(strength_of == Strength::Weak);
                ("adopted", (!self.summary.dry_run).then(|| id.as_str()))
            }
            Adoption::Kept => {
                self.summary.kept += 1;
                ("kept", None)
            }
        };
        let (line, user, strength) = (row.line, row.user.as_str(), Some(strength(strength_of)));
        self.output.result(&Line { line, user, outcome, authenticator, strength, reason: None }, String::new)
    }

    fn rejected(&mut self, row: &Row, reason: &str) -> Result<(), Failure> {
        self.summary.rejected += 1;
        let (line, user) = (row.line, row.user.as_str());
        let record =
            Line { line, user, outcome: "rejected", authenticator: None, strength: None, reason: Some(reason) };
        let to_file = self.rejects.is_some();
        self.output.result(&record, || match to_file {
            true => String::new(),
            false if user.is_empty() => format!("line {line}: {reason}"),
            false => format!("line {line}, {user}: {reason}"),
        })?;
        match &mut self.rejects {
            Some(file) => file.write_record([&line.to_string(), user, reason]).map_err(Failure::failed),
            None => Ok(()),
        }
    }

    fn finish(mut self, answer: Result<(), Failure>) -> Result<Exit, Failure> {
        if let Some(file) = &mut self.rejects {
            file.flush().map_err(|error| Failure::failed(format_args!("the file of rejects: {error}")))?;
        }
        let summary = &self.summary;
        self.output.result(summary, || {
            let Summary { rows, adopted, kept, rejected, weak, dry_run, .. } = summary;
            let rows = count(*rows, "row", "rows");
            let adopted = if *dry_run { format!("{adopted} would be adopted") } else { format!("{adopted} adopted") };
            let mut text = format!("{rows}: {adopted}, {kept} kept, {rejected} rejected");
            if *weak > 0 {
                let weak = count(*weak, "secret has", "secrets have");
                text.push_str(&format!(
                    "\n{weak} less than 112 bits; ask these users to enroll again: keyfob list --weak"
                ));
            }
            text
        })?;
        answer?;
        if summary.interrupted {
            let message = "interrupted; run the same command again, and the users who were adopted are kept".into();
            return Err(Failure { exit: Exit::Interrupted, message });
        }
        // A name that is no user's, or an unknown one, is a fault of the row and not of the command line.
        Ok(match self.worst {
            Exit::Failed => Exit::Failed,
            _ if summary.rejected > 0 => Exit::Refused,
            _ => Exit::Done,
        })
    }
}

/// The end of the first batch: about a thousand rows, and all rows of the last user.
fn batch_end(rows: &[Row]) -> usize {
    let Some(last) = rows.get(BATCH - 1) else { return rows.len() };
    BATCH + rows[BATCH..].iter().take_while(|row| row.user == last.user).count()
}

const BATCH: usize = 1000;
