//! Measures how much an account and a login cost in each store, and whether a login takes longer in a large table.
//! Writes the tables of `docs/guide/size.md`.

mod account;
mod database;
mod growth;
mod proxy;
mod syncs;

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use account::Costs;
use growth::Growth;

use crate::machine::Machine;

const BEGIN: &str = "<!-- Written by the benchmarks. -->\n";
const END: &str = "<!-- End of what the benchmarks write. -->\n";
const PAGE: &str = "docs/guide/size.md";

/// Measures everything, and replaces the tables of the page. A quick run writes a copy of the page to the target folder.
pub fn run(machine: &Machine, quick: bool) -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let costs = account::measure(&runtime, machine, if quick { 64 } else { 2000 });
    let sizes: &[usize] = if quick { &[1000, 3000] } else { &[1000, 10_000, 100_000, 1_000_000] };
    let growth = growth::measure(&runtime, sizes, if quick { 4 } else { 40 });

    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join(PAGE))?;
    let (before, rest) = page.split_once(BEGIN).ok_or("the page has no place for the tables")?;
    let (_, after) = rest.split_once(END).ok_or("the place for the tables does not end")?;
    let tables = tables(machine, &costs, growth.as_ref())?;
    print!("\n{tables}");
    let path = if quick { machine.target.join("quick").join(PAGE) } else { root.join(PAGE) };
    fs::create_dir_all(path.parent().ok_or("no folder")?)?;
    fs::write(&path, [before, BEGIN, &tables, END, after].concat())?;
    println!("written: {}", path.display());
    Ok(())
}

fn tables(machine: &Machine, costs: &[Costs], growth: Option<&Growth>) -> Result<String, std::fmt::Error> {
    let mut page = String::new();
    let fact = |name| machine.facts.iter().find(|fact| fact.0 == name).map_or("unknown", |fact| &*fact.1);
    writeln!(
        page,
        "
Measured on {} with {},
on {}, {} processors, {}.

## An account

| | record | stored, compact | stored, after ten logins |
|---|--:|--:|--:|",
        fact("date"),
        fact("database servers"),
        fact("processor"),
        std::thread::available_parallelism().map_or(0, usize::from),
        fact("their data")
    )?;
    for cost in costs {
        writeln!(
            page,
            "| {} | {} B | {} B | {} B |",
            cost.store,
            cost.record,
            rounded(cost.compact),
            rounded(cost.used)
        )?;
    }
    writeln!(
        page,
        "
## A login

| | round trips | pings | bytes sent | bytes received | log | log, after a checkpoint | syncs, alone | syncs, 32 at once |
|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    )?;
    for cost in costs {
        let traffic = match &cost.traffic {
            Some(traffic) => {
                format!(
                    "{} | {} | {} B | {} B",
                    rounded(traffic.trips),
                    rounded(traffic.pings),
                    rounded(traffic.sent),
                    rounded(traffic.received)
                )
            }
            None => "no network | - | - | -".into(),
        };
        let syncs = cost.syncs.map_or("- | -".into(), |[alone, at_once]| format!("{alone:.2} | {at_once:.2}"));
        let (log, first_log) = (rounded(cost.log), rounded(cost.first_log));
        writeln!(page, "| {} | {traffic} | {log} B | {first_log} B | {syncs} |", cost.store)?;
    }
    writeln!(
        page,
        "
## A sweep

| | names listed a second | accounts changed a second, one sweep | eight sweeps at once |
|---|--:|--:|--:|"
    )?;
    for cost in costs {
        writeln!(
            page,
            "| {} | {} | {} | {} |",
            cost.store,
            rounded(cost.listed),
            rounded(cost.swept),
            rounded(cost.swept_at_once)
        )?;
    }
    extrapolation(&mut page, costs)?;
    if let Some(growth) = growth {
        growth.write(&mut page)?;
    }
    writeln!(page)?;
    Ok(page)
}

fn extrapolation(page: &mut String, costs: &[Costs]) -> std::fmt::Result {
    writeln!(
        page,
        "
## A million and a hundred million accounts

Computed from the tables above, with one login per account per day.

| | accounts | logins a second | stored | log a day | sweep of all accounts, eight at once |
|---|--:|--:|--:|--:|--:|"
    )?;
    for cost in costs {
        for (name, accounts) in [("10^6", 1e6), ("10^8", 1e8)] {
            writeln!(
                page,
                "| {} | {name} | {} | {} | {} | {} |",
                cost.store,
                rounded(accounts / 86_400.0),
                bytes(accounts * cost.used),
                bytes(accounts * cost.log),
                time(accounts / cost.swept_at_once)
            )?;
        }
    }
    Ok(())
}

/// A number with two significant digits.
fn rounded(number: f64) -> String {
    if number < 10.0 {
        let text = format!("{number:.1}");
        return text.strip_suffix(".0").unwrap_or(&text).to_owned();
    }
    let unit = 10_f64.powf(number.log10().floor() - 1.0);
    format!("{:.0}", (number / unit).round() * unit)
}

fn bytes(number: f64) -> String {
    match number {
        ..1e6 => format!("{} kB", rounded(number / 1e3)),
        ..1e9 => format!("{} MB", rounded(number / 1e6)),
        ..1e12 => format!("{} GB", rounded(number / 1e9)),
        _ => format!("{} TB", rounded(number / 1e12)),
    }
}

fn time(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}
