//! Runs one target under libFuzzer: starts it, reads its output, stops it, and minimizes its corpus.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// How a target runs. The runs of a target share one corpus, and each loads the inputs that the other finds.
#[derive(Clone, Copy, PartialEq)]
pub enum Way {
    /// Traces comparisons, so the fuzzer learns which values an input is compared with. The inputs are long.
    Traced,
    /// Does not trace comparisons, and the inputs are short. For targets in which the tracing takes about half of the
    /// time, and in which few values are compared with the input.
    Fast,
}

impl Way {
    /// The folder of the build.
    pub fn folder(self, home: &Path) -> PathBuf {
        home.join(match self {
            Self::Traced => "target/libfuzzer",
            Self::Fast => "target/libfuzzer-fast",
        })
    }

    /// The name of a target that runs this way. Most targets run only one way.
    pub fn label(self, name: &str) -> String {
        match self {
            Self::Traced => name.into(),
            Self::Fast => format!("{name}-fast"),
        }
    }
}

/// A target to run, and the paths of its inputs.
pub struct Plan {
    pub name: String,
    way: Way,
    program: PathBuf,
    seeds: Option<PathBuf>,
    crashes: PathBuf,
    corpus: PathBuf,
    dictionary: Option<PathBuf>,
    /// The file to which the progress is logged for `report`.
    log: Option<PathBuf>,
    seconds: u64,
    /// The progress of an earlier run that was interrupted.
    spent: Point,
}

/// The progress of a run at one point in time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Point {
    pub seconds: u64,
    pub executions: u64,
    pub edges: u64,
    pub features: u64,
    pub inputs: u64,
}

impl Point {
    pub fn parse(line: &str) -> Option<Self> {
        let mut numbers = line.split(' ').map_while(|word| word.parse().ok());
        let mut next = || numbers.next();
        Some(Self { seconds: next()?, executions: next()?, edges: next()?, features: next()?, inputs: next()? })
    }

    /// Parses a line of libFuzzer's output, such as `#123 NEW cov: 4 ft: 5 corp: 6/7b ...`.
    fn heard(line: &str) -> Option<Self> {
        let executions = line.strip_prefix('#')?.split_whitespace().next()?.parse().ok()?;
        let after = |name: &str| -> Option<u64> {
            line.split_once(name)?.1.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        let (edges, features) = (after("cov:")?, after("ft:")?);
        Some(Self { seconds: 0, executions, edges, features, inputs: after("corp:").unwrap_or(0) })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, executions, edges, features, inputs } = self;
        write!(f, "{seconds} {executions} {edges} {features} {inputs}")
    }
}

impl Plan {
    pub fn new(home: &Path, host: &str, name: &str, way: Way, seconds: u64, smoke: bool) -> Self {
        let control = name.starts_with("planted");
        let inputs = match name {
            "planted" => "code",
            "planted_guard" => "guard",
            name => name,
        };
        let scratch = home.join("target/smoke").join(way.label(name));
        let corpus = if smoke { scratch.join("corpus") } else { home.join("corpus").join(name) };
        if smoke {
            let _ = fs::remove_dir_all(&scratch);
        }
        let log = (!smoke).then(|| home.join(format!("corpus/{}.log", way.label(name))));
        let so_far = log.as_ref().and_then(|log| fs::read_to_string(log).ok()).unwrap_or_default();
        let last = so_far.lines().filter_map(Point::parse).next_back().unwrap_or_default();
        let goes_on = !so_far.lines().any(|line| line == "done" || line == "crashed") && last.seconds < seconds;
        let spent = if goes_on { last } else { Point::default() };
        if let Some(log) = log.as_ref().filter(|_| !goes_on) {
            let _ = fs::remove_file(log);
        }
        let dictionary = home.join(format!("dictionaries/{inputs}.dict"));
        Self {
            name: name.into(),
            way,
            program: way.folder(home).join(host).join("release").join(name),
            // A control starts without inputs, because the fuzzer itself has to find the bug.
            seeds: (!control).then(|| home.join("seeds").join(inputs)),
            // Keep the crashes of a control apart, because they are not bugs of keyfob.
            crashes: if control { scratch.join("crashes") } else { home.join("crashes").join(inputs) },
            corpus,
            dictionary: dictionary.exists().then_some(dictionary),
            log,
            seconds,
            spent,
        }
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        command.args(["-rss_limit_mb=2048", "-timeout=20", "-print_final_stats=1"]);
        command.arg(format!("-artifact_prefix={}/", self.crashes.display()));
        command
    }

    /// Minimizes the corpus. If libFuzzer fails, the corpus stays as it is.
    pub fn minimize(&self) {
        let small = self.corpus.with_extension("small");
        let _ = fs::remove_dir_all(&small);
        if self.log.is_none() || fs::create_dir_all(&small).is_err() {
            return;
        }
        let mut command = self.command();
        // No maximum length, because the other run may have found longer inputs.
        command.stderr(Stdio::null()).arg("-merge=1").args([&small, &self.corpus]).args(&self.seeds);
        let merged = command.status().is_ok_and(|status| status.success());
        if merged && count(&small) > 0 && fs::remove_dir_all(&self.corpus).is_ok() {
            let _ = fs::rename(&small, &self.corpus);
        }
    }

    pub fn label(&self) -> String {
        self.way.label(&self.name)
    }

    fn longest(&self) -> u32 {
        // Longer inputs are slow and do not increase the coverage.
        match self.name.as_str() {
            "qr" if self.way == Way::Fast => 100,
            _ if self.way == Way::Fast => 200,
            "guard" | "planted_guard" | "qr" | "differential" => 600,
            // These targets parse files. The limit is larger because only a file with many entries shows that a value
            // is copied for each entry.
            "import" | "pskc" => 16_384,
            _ => 4096,
        }
    }
}

pub struct Session {
    pub plan: Plan,
    pub crashed: bool,
    child: Child,
    /// Reads what the process writes, and returns after how many seconds it ended.
    ears: Option<JoinHandle<u64>>,
    heard: Arc<Mutex<Heard>>,
    started: Instant,
    seconds: u64,
    stopped: u32,
    found: usize,
}

#[derive(Default)]
struct Heard {
    point: Point,
    last: VecDeque<String>,
}

impl Session {
    pub fn start(plan: Plan) -> Self {
        for folder in [&plan.corpus, &plan.crashes] {
            fs::create_dir_all(folder).expect("a folder for inputs");
        }
        let mut command = plan.command();
        command.arg(format!("-max_len={}", plan.longest()));
        if plan.way == Way::Fast {
            // Weighting inputs by the rare features that they reach takes longer than running most of them.
            command.arg("-entropic=0");
        }
        command.arg(format!("-max_total_time={}", plan.seconds - plan.spent.seconds));
        if let Some(dictionary) = &plan.dictionary {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        let found = count(&plan.corpus);
        command.arg(&plan.corpus).args(&plan.seeds);
        let mut child = command.spawn().expect("the target was built");
        let lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let (heard, started) = (Arc::new(Mutex::new(Heard::default())), Instant::now());
        let (memory, log, spent) = (heard.clone(), plan.log.clone(), plan.spent);
        let ears = thread::spawn(move || {
            let open = |path: PathBuf| fs::File::options().create(true).append(true).open(path).ok();
            let mut log = log.and_then(open);
            let mut noted = None;
            for line in lines.split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let mut memory = memory.lock().unwrap();
                if let Some(mut point) = Point::heard(&line) {
                    point.seconds = spent.seconds + started.elapsed().as_secs();
                    point.executions += spent.executions;
                    memory.point = point;
                    if noted != Some(point.seconds) || line.contains("DONE") {
                        noted = Some(point.seconds);
                        log.as_mut().map(|log| writeln!(log, "{point}"));
                    }
                } else {
                    if let Some(all) = line.strip_prefix("stat::number_of_executed_units:") {
                        memory.point.executions = spent.executions + all.trim().parse().unwrap_or(0);
                    }
                    memory.last.push_back(line);
                    if memory.last.len() > 60 {
                        memory.last.pop_front();
                    }
                }
            }
            started.elapsed().as_secs()
        });
        Self { plan, crashed: false, child, ears: Some(ears), heard, started, seconds: 0, stopped: 0, found }
    }

    pub fn ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the process to stop, or kills it if `now`.
    pub fn stop(&mut self, now: bool) {
        if now {
            let _ = self.child.kill();
        } else if self.stopped == 0 {
            self.stopped = 1;
            let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        }
    }

    /// Waits until the process has ended, then writes the result.
    pub fn finish(&mut self, interrupted: bool) {
        let status = self.child.wait();
        // The process may have ended while another corpus was minimized.
        let lasted = self.ears.take().and_then(|ears| ears.join().ok());
        self.seconds = self.plan.spent.seconds + lasted.unwrap_or_else(|| self.started.elapsed().as_secs());
        self.crashed = !interrupted && !status.is_ok_and(|status| status.success());
        let Some(log) = &self.plan.log else { return };
        let mut point = self.heard.lock().unwrap().point;
        point.seconds = self.seconds;
        let end = match (interrupted, self.crashed) {
            (true, _) => "interrupted",
            (_, true) => "crashed",
            _ => "done",
        };
        if let Ok(mut log) = fs::File::options().append(true).create(true).open(log) {
            let _ = writeln!(log, "{point}\n{end}");
        }
    }

    pub fn last_words(&self) -> String {
        let heard = self.heard.lock().unwrap();
        let words: Vec<&str> =
            heard.last.iter().map(String::as_str).filter(|line| !line.starts_with("stat:")).collect();
        format!("its inputs are in {}\n{}", self.plan.crashes.display(), words.join("\n"))
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = self.heard.lock().unwrap().point;
        let ended = self.ears.is_none();
        let elapsed = if ended { self.seconds - self.plan.spent.seconds } else { self.started.elapsed().as_secs() };
        let rate = (point.executions - self.plan.spent.executions.min(point.executions)) / elapsed.max(1);
        let state = match (ended, self.crashed) {
            (true, true) => "crashed".into(),
            (true, false) => "ended".into(),
            _ => format!("{} s left", (self.plan.seconds - self.plan.spent.seconds).saturating_sub(elapsed)),
        };
        let new = count(&self.plan.corpus).saturating_sub(self.found);
        let Point { executions, edges, features, .. } = point;
        let name = self.plan.label();
        write!(
            f,
            "{name:14} {executions:>12} runs {rate:>8}/s {edges:>6} edges {features:>7} features {new:>6} new, {state}"
        )
    }
}

/// How many files a folder has.
pub fn count(folder: &Path) -> usize {
    folder.read_dir().map_or(0, Iterator::count)
}
