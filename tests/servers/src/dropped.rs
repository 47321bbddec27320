//! Requests whose caller stops waiting.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use keyfob::guard::{OperatorId, Refusal};
use keyfob::store::{Store, StoreError, Swap, Version};

use crate::database::{self, Database};
use crate::guarded::{ACCOUNT, Answer, Guarded, code, patient, wrong};
use crate::progress::{Outcome, Progress, grouped};
use crate::servers::Kind;

/// Drops `verify` at each point where it waits: a code is accepted at most once, and each guess that is answered was
/// counted.
pub async fn dropped(kind: Kind, progress: &Progress) -> Outcome {
    let times = progress.scaled(200, 10);
    let server = database::shared(kind);
    let url = server.url(&database::create(server, kind).await);
    let store = Database::open(kind, &url).await.unwrap();
    let guarded = Guarded::new(store.clone(), patient());
    guarded.enroll(1).await;
    let figures = drop_requests(&guarded, times, progress).await.unwrap_or_else(|violation| panic!("{violation}"));
    let Figures { most, drops, silent, counted } = figures;
    assert!(most > 2 && silent > 0 && counted > 0, "no request was dropped in time");
    let hasty = Guarded::new(Hasty(store), patient());
    hasty.set(guarded.now());
    let control = drop_requests(&hasty, 10, progress).await.err();
    let control = control.expect("the control passes: a store that answers before it has stored anything");
    Outcome {
        did: format!(
            "{} requests dropped after 1 to {most} polls: no code accepted twice, no guess answered without being \
             counted; {} codes used and {} guesses counted without an answer",
            grouped(drops),
            grouped(silent),
            grouped(counted)
        ),
        control: format!("a store that answers before it stores: {control}"),
    }
}

#[derive(Default)]
struct Figures {
    most: usize,
    drops: usize,
    /// Codes that were used and guesses that were counted without an answer.
    silent: usize,
    counted: usize,
}

/// Returns what went wrong as the error.
async fn drop_requests(guarded: &Guarded<impl Store>, times: usize, progress: &Progress) -> Result<Figures, String> {
    let operator = OperatorId::new("campaign").unwrap();
    let mut figures = Figures::default();
    for time in 1..=times {
        let linger = time % 2 == 0;
        for polls in 1.. {
            figures.most = figures.most.max(polls);
            guarded.set(guarded.now() + 86_400);
            let typed = code(1, guarded.now());
            let first = given_up(guarded.verify(&typed), polls, linger).await.transpose().unwrap();
            // Twice, because the dropped request may still be under way.
            let again = [guarded.verify(&typed).await.unwrap(), guarded.verify(&typed).await.unwrap()];
            let accepted = first.iter().chain(&again).filter(|answer| **answer == Answer::Accepted).count();
            if accepted > 1 {
                return Err(format!("a code accepted {accepted} times"));
            }
            if first.is_none() {
                figures.drops += 1;
                figures.silent += usize::from(accepted == 0);
            } else if first != Some(Answer::Accepted) {
                return Err(format!("a right code: {first:?}"));
            }
            if again[1] != Answer::Refused(Refusal::Replayed) {
                return Err(format!("a used code: {:?}", again[1]));
            }

            guarded.set(guarded.now() + 86_400);
            let failures = async || guarded.guard.status(ACCOUNT).await.unwrap().consecutive_failures();
            let (before, guess) = (failures().await, wrong(1, guarded.now()).next().unwrap());
            let answered = given_up(guarded.verify(&guess), polls, linger).await.is_some();
            let counted = failures().await - before;
            if counted > 1 || (answered && counted == 0) {
                return Err(format!("a guess counted {counted} times, answered: {answered}"));
            }
            figures.drops += usize::from(!answered);
            figures.counted += usize::from(!answered && counted == 1);
            guarded.guard.operator_unlock(ACCOUNT, &operator).await.unwrap();
            if first.is_some() && answered {
                break;
            }
        }
        progress.say(format!("{time} of {times} times"));
    }
    Ok(figures)
}

/// Polls a request so often, and then drops it. Returns its answer if it came in the meantime.
///
/// With `linger`, the request is dropped a moment later, when the server has done what it was asked to do. Without it,
/// a driver may notice that nobody waits, and not send the last message at all.
async fn given_up<T>(request: impl Future<Output = T>, polls: usize, linger: bool) -> Option<T> {
    let mut request = pin!(request);
    let mut left = polls;
    let answer = poll_fn(|context| match request.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => {
            left -= 1;
            if left == 0 { Poll::Ready(None) } else { Poll::Pending }
        }
    })
    .await;
    if answer.is_none() && linger {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    answer
}

/// The control: acknowledges each change, and stores it a moment later.
struct Hasty(Database);

impl Store for Hasty {
    type Error = StoreError;

    async fn load(&self, user: &str) -> Result<Option<(Version, Vec<u8>)>, StoreError> {
        self.0.load(user).await
    }

    async fn swap(&self, user: &str, expected: Option<Version>, record: Option<&[u8]>) -> Result<Swap, StoreError> {
        let (store, user, record) = (self.0.clone(), user.to_owned(), record.map(<[u8]>::to_vec));
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let _ = store.swap(&user, expected, record.as_deref()).await;
        });
        Ok(Swap::Swapped)
    }
}
