//! The results of criterion.

use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The smallest median of all rounds, for each benchmark.
#[derive(Default)]
pub struct Results(Vec<Row>);

struct Row {
    group: String,
    name: String,
    length: Option<usize>,
    nanoseconds: f64,
}

impl Results {
    /// Reads `**/new/{benchmark,estimates}.json` below a folder.
    pub fn add(&mut self, folder: &Path) -> Result<(), Box<dyn Error>> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.ends_with("new") {
                self.add_one(&path)?;
            } else if path.is_dir() {
                self.add(&path)?;
            }
        }
        Ok(())
    }

    fn add_one(&mut self, folder: &Path) -> Result<(), Box<dyn Error>> {
        let read =
            |name| -> Result<Value, Box<dyn Error>> { Ok(serde_json::from_slice(&fs::read(folder.join(name))?)?) };
        let (benchmark, estimates) = (read("benchmark.json")?, read("estimates.json")?);
        let text = |key: &str| benchmark[key].as_str().map(str::to_owned);
        let row = Row {
            group: text("group_id").ok_or("a benchmark without a group")?,
            name: text("function_id").ok_or("a benchmark without a name")?,
            length: text("value_str").map(|length| length.parse()).transpose()?,
            nanoseconds: estimates["median"]["point_estimate"].as_f64().ok_or("a benchmark without a median")?,
        };
        let same = |other: &&mut Row| (&other.group, &other.name, other.length) == (&row.group, &row.name, row.length);
        match self.0.iter_mut().find(same) {
            Some(other) => other.nanoseconds = other.nanoseconds.min(row.nanoseconds),
            None => self.0.push(row),
        }
        Ok(())
    }

    /// A group's benchmarks, the fastest first.
    pub fn group(&self, group: &str) -> Vec<(&str, f64)> {
        let rows = self.0.iter().filter(|row| row.group == group && row.length.is_none());
        let mut rows: Vec<_> = rows.map(|row| (row.name.as_str(), row.nanoseconds)).collect();
        rows.sort_by(|a, b| a.1.total_cmp(&b.1));
        rows
    }

    pub fn get(&self, group: &str, name: &str) -> Option<f64> {
        self.group(group).into_iter().find(|row| row.0 == name).map(|row| row.1)
    }

    /// A benchmark over lengths, the shortest first.
    pub fn over_length(&self, group: &str, name: &str) -> Vec<(usize, f64)> {
        let rows = self.0.iter().filter(|row| row.group == group && row.name == name);
        let mut rows: Vec<_> = rows.filter_map(|row| Some((row.length?, row.nanoseconds))).collect();
        rows.sort_by_key(|row| row.0);
        rows
    }
}
