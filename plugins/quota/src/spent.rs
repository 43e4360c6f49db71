//! How much of a window is spent: a counter for each minute, hour or day, which goes when the window is over. A sliding window is made of two
//! of them: this one's, and of the one before as much as is left of it. That takes what came before as evenly spread, and needs no list of
//! calls, which somebody could make as long as they like.

use alloc::format;
use alloc::string::String;

use sluice_sdk::kv::{Bucket, Error, Op, Outcome};

/// Clocks of replicas differ.
const SLACK_S: u64 = 60;

/// A window that begins at a full minute, hour or day of UTC, or ends now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// How long it is.
    pub seconds: u32,
    /// It is the time up to now.
    pub slides: bool,
}

/// What was spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// In the window that runs.
    pub now: u64,
    /// In the one before, where the window slides.
    pub before: u64,
}

impl Window {
    /// Adds, and says what was spent until then.
    pub fn add(self, bucket: &Bucket, key: &str, amount: i64, now_s: u64) -> Result<Spent, Error> {
        let number = now_s / self.length();
        let ttl_ms = self.kept_ms(now_s);
        let spent = |count: i64| u64::try_from(count.saturating_sub(amount)).unwrap_or(0);
        if !self.slides {
            return Ok(Spent { now: spent(bucket.incr(&numbered(key, number), amount, ttl_ms)?), before: 0 });
        }
        let asked = [Op::incr(&numbered(key, number), amount, ttl_ms), Op::get(&numbered(key, number.saturating_sub(1)))];
        let mut answers = bucket.batch(&asked)?.into_iter();
        match (answers.next(), answers.next()) {
            (Some(Ok(Outcome::Count(count))), Some(Ok(Outcome::Value(before)))) => {
                let digits = before.as_deref().and_then(|digits| core::str::from_utf8(digits).ok());
                Ok(Spent { now: spent(count), before: digits.and_then(|digits| digits.parse().ok()).unwrap_or(0) })
            }
            (Some(Err(error)), _) | (_, Some(Err(error))) => Err(error),
            _ => Err(Error::Conflict),
        }
    }

    /// Adds.
    pub fn spend(self, bucket: &Bucket, key: &str, amount: i64, now_s: u64) -> Result<(), Error> {
        bucket.incr(&numbered(key, now_s / self.length()), amount, self.kept_ms(now_s)).map(|_| ())
    }

    /// 0 if one more may be spent, or after how many milliseconds, should nobody else spend anything.
    pub fn wait_ms(self, spent: Spent, max: u64, now_s: u64) -> u32 {
        let elapsed = now_s % self.length();
        let wait_s = match max.saturating_sub(spent.now) {
            0 if self.slides => self.length() - elapsed + self.elapsed_until(spent.now, max),
            0 => self.length() - elapsed,
            room => self.elapsed_until(spent.before, room).saturating_sub(elapsed),
        };
        u32::try_from(wait_s.saturating_mul(1000)).unwrap_or(u32::MAX)
    }

    /// How far a window has come when so little is left of what was spent `before` that one more has room.
    fn elapsed_until(self, before: u64, room: u64) -> u64 {
        if before < room {
            return 0;
        }
        // Not above the length, since room - 1 is less than before.
        let left = u128::from(room - 1) * u128::from(self.length()) / u128::from(before);
        self.length().saturating_sub(u64::try_from(left).unwrap_or(u64::MAX))
    }

    fn length(self) -> u64 {
        self.seconds.into()
    }

    /// To the end of the window, and of the next one where that looks back at it.
    fn kept_ms(self, now_s: u64) -> u32 {
        let left = self.length() - now_s % self.length();
        let next = if self.slides { self.length() } else { 0 };
        u32::try_from((left + next + SLACK_S) * 1000).unwrap_or(u32::MAX)
    }
}

/// Another key in each window.
fn numbered(key: &str, number: u64) -> String {
    format!("{number}:{key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Window = Window { seconds: 3600, slides: false };
    const LAST_HOUR: Window = Window { seconds: 3600, slides: true };

    /// What is left of a window, as it is meant: rounded up.
    fn weight(spent: Spent, elapsed: u64) -> u64 {
        spent.now + (spent.before * (3600 - elapsed)).div_ceil(3600)
    }

    /// There is room just when the sum says so, and never a second before the time that was told.
    #[test]
    fn waiting_as_told_is_enough_and_less_is_not() {
        let begin = 7200;
        for max in [1, 2, 7, 100] {
            for now in [0, 1, 6, 99, 100, 250] {
                for before in [0, 1, 3, 50, 100, 1000] {
                    for elapsed in [0, 1, 1799, 3599] {
                        let spent = Spent { now, before };
                        let wait_s = u64::from(LAST_HOUR.wait_ms(spent, max, begin + elapsed)) / 1000;
                        let has_room = |after: u64| match elapsed + after {
                            at if at < 3600 => weight(spent, at) < max,
                            at => weight(Spent { now: 0, before: now }, at - 3600) < max,
                        };
                        assert!(has_room(wait_s), "max {max}, {spent:?}, {elapsed}: {wait_s}");
                        assert!(wait_s == 0 || !has_room(wait_s - 1), "max {max}, {spent:?}, {elapsed}: {wait_s} is too long");
                    }
                }
            }
        }
    }

    #[test]
    fn a_fixed_window_looks_nowhere_back() {
        assert_eq!(HOUR.wait_ms(Spent { now: 4, before: 0 }, 5, 10), 0);
        assert_eq!(HOUR.wait_ms(Spent { now: 5, before: 0 }, 5, 10), 3_590_000);
    }

    #[test]
    fn the_largest_numbers_are_no_trouble() {
        let day = Window { seconds: 86_400, slides: true };
        let max = (1 << 53) - 1;
        assert!(day.wait_ms(Spent { now: u64::MAX, before: u64::MAX }, max, u64::MAX) > 0);
        assert!(day.wait_ms(Spent { now: 0, before: u64::MAX }, max, 0) > 0);
    }
}
