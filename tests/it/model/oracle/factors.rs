//! How the oracle adds authenticators and recovery codes.

use keyfob::guard::{GuardErrorKind, Purpose};

use super::login::Changed;
use super::{
    Adoptee, Allows, Answer, Authenticator, Handle, Kind, Login, Op, Pending, RecoveryCode, State, Token, World,
};

impl World<'_> {
    pub(super) fn enroll(&self, mut factor: State, op: &Op) -> Changed {
        let Op::Enroll { replaces, proof, odd, weak, ticket, .. } = op else { unreachable!("another call") };
        let ticket = self.ticket(&factor, ticket.as_ref())?;
        if self.limits.strict && *weak {
            return Err(GuardErrorKind::Invalid);
        }
        let mut voucher = 0;
        if !factor.active.is_empty() {
            let proof = proof.as_ref().ok_or(GuardErrorKind::ProofRequired)?;
            voucher = match proof.allows {
                Allows::Voucher(id) if replaces.is_none() => id,
                Allows::Purpose(ref purpose) if *purpose == Purpose::ADD => 0,
                _ => return Err(GuardErrorKind::ProofRejected),
            };
            self.is_proof(&factor, Some(proof))?;
        }
        let has = |phone| factor.active.iter().any(|authenticator| authenticator.phone == phone);
        if replaces.is_some_and(|phone| !has(phone)) {
            return Err(GuardErrorKind::UnknownAuthenticator);
        }
        if replaces.is_none() && factor.active.len() >= 8 {
            return Err(GuardErrorKind::TooManyAuthenticators);
        }
        if factor.factors == (0, 0) {
            factor.factors = (self.creation, 0);
        }
        factor.pending = Some(Pending {
            authenticator: self.authenticator(),
            since: self.now,
            imported: *odd,
            ticket,
            tries: 0,
            replaces: *replaces,
            replaces_all: false,
            voucher,
        });
        Ok((Answer::Enrolled, Some(Some(factor))))
    }

    /// The caller fills in the phone.
    fn authenticator(&self) -> Authenticator {
        Authenticator {
            phone: usize::MAX,
            next: 0,
            disclosed: 0,
            repeated: 0,
            drift: 0,
            lean: 0,
            anchor: 0,
            bound: 0,
            key: self.primary,
        }
    }

    pub(super) fn adopt(&self, mut factor: State, adoptees: &[Adoptee]) -> (Answer, Option<Option<State>>) {
        let mut secrets = Vec::new();
        let mut answers = Vec::new();
        let mut active = Vec::new();
        for adoptee in adoptees {
            let answer = self.adopted(adoptee, &secrets);
            if let Ok(next) = answer {
                secrets.push(adoptee.secret);
                active.push(Authenticator { next, bound: self.now.max(1), ..self.authenticator() });
            }
            answers.push(answer.map(|_| true));
        }
        if !factor.active.is_empty() || factor.removed > 0 {
            return (Answer::Adopted(vec![Ok(false); adoptees.len()]), None);
        }
        if active.is_empty() {
            return (Answer::Adopted(answers), None);
        }
        (factor.active, factor.pending, factor.factors) = (active, None, (self.creation, 0));
        (Answer::Adopted(answers), Some(Some(factor)))
    }

    /// The first step or counter that is not used.
    fn adopted(&self, adoptee: &Adoptee, secrets: &[usize]) -> Result<u64, GuardErrorKind> {
        if secrets.len() == 8 {
            return Err(GuardErrorKind::TooManyAuthenticators);
        }
        if secrets.contains(&adoptee.secret) {
            return Err(GuardErrorKind::SecretInUse);
        }
        let step = self.now / 30;
        let next = adoptee.last_used.map(|last| last + 1);
        if (self.limits.strict && adoptee.weak)
            || (!adoptee.hotp && next.is_some_and(|next| next > step + self.limits.within))
        {
            return Err(GuardErrorKind::Invalid);
        }
        Ok(next.unwrap_or(if adoptee.hotp { 0 } else { step + self.limits.ahead + 1 }))
    }

    pub(super) fn reopen(&self, factor: &State, handle: &Handle) -> Changed {
        let pending = factor.pending.as_ref().filter(|pending| pending.waits(self.now));
        let shown = pending.is_some_and(|pending| pending.authenticator.phone == handle.phone);
        match !handle.forged && handle.account == self.account && shown {
            true => Ok((Answer::Shown { phone: handle.phone }, None)),
            false => Err(GuardErrorKind::NoEnrollment),
        }
    }

    pub(super) fn redeem(&self, mut factor: State, token: &Token) -> Changed {
        if !self.is_valid(&factor, token, Kind::Voucher) || factor.voucher != token.id {
            return Err(GuardErrorKind::LoginRejected);
        }
        factor.voucher = 0;
        Ok((Answer::Redeemed, Some(Some(factor))))
    }

    pub(super) fn replace_code(&self, mut factor: State, login: &Login) -> Changed {
        self.check_login(&factor, login)?;
        let mut codes = factor.recovery.iter_mut().flat_map(|(codes, _)| codes);
        let is_used =
            |(code, used): &&mut RecoveryCode| *used && login.recovery_code.is_some() && *code == login.recovery_code;
        let Some(slot) = codes.find(is_used) else { return Ok((Answer::Replaced(false), None)) };
        // The caller fills in the code.
        *slot = (None, false);
        Ok((Answer::Replaced(true), Some(Some(factor))))
    }
}
