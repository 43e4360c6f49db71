//! The time as signatures write it.

use alloc::format;
use alloc::string::String;

use time::OffsetDateTime;

/// A second in UTC.
pub struct Moment {
    /// `20150830`
    pub date: String,
    /// `20150830T123600Z`
    pub time: String,
}

impl Moment {
    /// From seconds since 1970; nothing in years that have more than four digits.
    pub fn of(unix_seconds: u64) -> Option<Self> {
        let at = OffsetDateTime::from_unix_timestamp(unix_seconds.try_into().ok()?).ok()?;
        let date = format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day());
        let time = format!("{date}T{:02}{:02}{:02}Z", at.hour(), at.minute(), at.second());
        Some(Moment { date, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_written_as_signatures_have_it() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (951_782_400, "20000229T000000Z"),
            (1_369_353_600, "20130524T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (253_402_300_799, "99991231T235959Z"),
        ] {
            let moment = Moment::of(seconds).unwrap();
            assert_eq!((moment.time.as_str(), moment.date.as_str()), (expected, &expected[..8]));
        }
        assert!(Moment::of(253_402_300_800).is_none() && Moment::of(u64::MAX).is_none());
    }
}
