//! Whether a login and a page of accounts take longer in a table with more accounts, on PostgreSQL.

use std::fmt::Write;
use std::time::{Duration, Instant};

use keyfob::guard::{Adoptee, Adoption, OperatorId};
use keyfob::store::{Accounts, PostgresStore, StoreOptions};
use keyfob_benches::phone::{Phone, account, key_uri};
use keyfob_benches::servers::{Kind, Server};
use keyfob_benches::{ADOPTED, AT, bare};
use sqlx::{AssertSqlSafe, PgPool};
use tokio::runtime::Runtime;

pub struct Growth(Vec<Row>);

struct Row {
    accounts: usize,
    /// Accounts that were adopted per second.
    adopted: f64,
    /// Bytes per account.
    stored: f64,
    /// The medians: of the first login in a page of the table since a checkpoint, of the next one, and of a list.
    first_login: Duration,
    next_login: Duration,
    page: Duration,
}

/// The number of logins in a round.
const LOGINS: usize = 25;
/// The number of names in a page.
const PAGE: usize = 500;
/// Spreads the accounts over the table. It has no common factor with a power of ten, so no account of a round is the
/// same as another.
const STRIDE: usize = 7919;

struct Table {
    accounts: usize,
    phone: Phone<PostgresStore>,
    adopted: f64,
    stored: f64,
    first_logins: Vec<Duration>,
    next_logins: Vec<Duration>,
    pages: Vec<Duration>,
}

pub fn measure(runtime: &Runtime, sizes: &[usize], rounds: usize) -> Option<Growth> {
    let server = Server::start(Kind::Postgres, "growth", &["shared_buffers=512MB", "max_wal_size=4GB"])?;
    Some(runtime.block_on(async {
        let pool = bare::postgres_pool(&server.url("postgres")).await;
        let mut tables = Vec::new();
        for &accounts in sizes {
            tables.push(fill(&pool, accounts).await);
        }
        // The tables take turns, so that whatever else the machine does slows all of them down.
        for round in 0..rounds {
            // From now on, the first change of each page writes the whole page to the log. In a small table, most
            // pages would otherwise have been changed in the rounds before.
            sqlx::raw_sql("CHECKPOINT").execute(&pool).await.expect("a checkpoint");
            for table in &mut tables {
                let logins = table.log_in(round).await;
                table.first_logins.extend(logins);
            }
            for table in &mut tables {
                let logins = table.log_in(round).await;
                table.next_logins.extend(logins);
                table.list(round).await;
            }
        }
        pool.close().await;
        Growth(tables.into_iter().map(Table::row).collect())
    }))
}

async fn fill(pool: &PgPool, accounts: usize) -> Table {
    let name = format!("accounts_{accounts}");
    let options = StoreOptions::new().with_table(&name).expect("valid");
    let store = PostgresStore::from_pool_with(pool.clone(), options).await.expect("durable");
    let (phone, operator) = (Phone::new(store), OperatorId::new("benchmark").expect("valid"));
    let mut total = Duration::ZERO;
    for begin in (0..accounts).step_by(ADOPTED) {
        let batch: Vec<Adoptee> = (begin..accounts.min(begin + ADOPTED)).map(adoptee).collect();
        let start = Instant::now();
        let answers = phone.guard.adopt_batch(&batch, &operator).await.expect("answered");
        total += start.elapsed();
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Adoption::Adopted(_)))));
        if begin % 100_000 == 0 {
            println!("PostgreSQL: {begin} of {accounts} accounts");
        }
    }
    let analyze = AssertSqlSafe(format!("VACUUM ANALYZE {name}"));
    sqlx::raw_sql(analyze).execute(pool).await.expect("analyzed");
    let size = sqlx::query_scalar::<_, i64>("SELECT pg_total_relation_size($1::regclass)").bind(&name);
    let stored = size.fetch_one(pool).await.expect("a size") as f64 / accounts as f64;
    let adopted = accounts as f64 / total.as_secs_f64();
    Table { accounts, phone, adopted, stored, first_logins: Vec::new(), next_logins: Vec::new(), pages: Vec::new() }
}

fn adoptee(number: usize) -> Adoptee {
    let user = account(number);
    Adoptee { uri: key_uri(&user), user, last_used: Some(AT / 30), name: String::new() }
}

impl Table {
    /// Times the logins of a round.
    async fn log_in(&self, round: usize) -> Vec<Duration> {
        self.phone.wait();
        let mut times = Vec::new();
        for login in 0..LOGINS {
            let user = account((round * LOGINS + login) * STRIDE % self.accounts);
            let start = Instant::now();
            let _ = self.phone.sign_in(&user, None).await;
            times.push(start.elapsed());
        }
        times
    }

    /// Times the list of a page of accounts.
    async fn list(&mut self, round: usize) {
        let after = account(round * STRIDE % (self.accounts - PAGE));
        let start = Instant::now();
        let page = self.phone.guard.store().accounts(&after, PAGE as u32).await.expect("listed");
        self.pages.push(start.elapsed());
        assert_eq!(page.len(), PAGE);
    }

    fn row(self) -> Row {
        let Self { accounts, adopted, stored, first_logins, next_logins, pages, .. } = self;
        let [first_login, next_login, page] = [first_logins, next_logins, pages].map(median);
        Row { accounts, adopted, stored, first_login, next_login, page }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

impl Growth {
    pub fn write(&self, page: &mut String) -> std::fmt::Result {
        writeln!(
            page,
            "
## Growth

Tables of different sizes in one PostgreSQL server with 512 MB of shared buffers. The tables take turns. A login is a
`begin_login` and an `answer` for an account somewhere in the table. For the first login, its page of the table was not
changed since the last checkpoint, so PostgreSQL writes the whole page to its log; for the next one, it was. A list has
{PAGE} names. Times are medians, and each ratio is to the smallest table. The records have no recovery codes, because the
accounts were adopted.

| accounts | adopted a second | stored, per account | first login | ratio | next login | ratio | list | ratio |
|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
        )?;
        let Some(first) = self.0.first() else { return Ok(()) };
        for row in &self.0 {
            let times =
                [(row.first_login, first.first_login), (row.next_login, first.next_login), (row.page, first.page)];
            let cells = times
                .map(|(own, base)| format!("{} µs | {:.2}", own.as_micros(), own.as_secs_f64() / base.as_secs_f64()));
            let (adopted, stored) = (super::rounded(row.adopted), super::rounded(row.stored));
            writeln!(page, "| {} | {adopted} | {stored} B | {} |", row.accounts, cells.join(" | "))?;
        }
        Ok(())
    }
}
