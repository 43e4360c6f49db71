//! `builtin:clock`: the time, and calls that take some.

use super::{Asked, Refusal, Server, argument, mistake, structured, text, tool};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time in any offset from UTC, converts between offsets, counts down, echoes.
pub struct Clock;

/// As many seconds as a count-down may take.
const COUNT_MAX: u64 = 60;

impl Server for Clock {
    fn title(&self) -> &'static str {
        "clock"
    }

    fn capabilities(&self) -> Value {
        json!({"tools": {}})
    }

    fn instructions(&self) -> &'static str {
        "Tells the time. Offsets from UTC are written like +02:00."
    }

    fn answer<'a>(&'a self, asked: Asked<'a>) -> BoxFuture<'a, Result<Value, Refusal>> {
        Box::pin(async move {
            match asked.method {
                "tools/list" => Ok(tools()),
                "tools/call" => call(asked).await,
                "ping" => Ok(json!({})),
                _ => Err(Refusal::unknown_method()),
            }
        })
    }
}

fn tools() -> Value {
    let offset = json!({"type": "string", "description": "Offset from UTC, such as +02:00; UTC if absent"});
    json!({"tools": [
        tool("now", "The current date and time", json!({"offset": offset}), &[]),
        tool(
            "convert",
            "A time of day in another offset from UTC",
            json!({"time": {"type": "string", "description": "Time of day, HH:MM"}, "from": offset, "to": offset}),
            &["time", "to"],
        ),
        tool("countdown", "Counts down second by second, with progress", json!({"seconds": {"type": "integer", "minimum": 0, "maximum": COUNT_MAX}}), &["seconds"]),
        tool("echo", "Gives the text back", json!({"text": {"type": "string"}}), &["text"]),
    ]})
}

async fn call(asked: Asked<'_>) -> Result<Value, Refusal> {
    let params = &asked.params;
    Ok(match params["name"].as_str() {
        Some("now") => now(params),
        Some("convert") => convert(params),
        Some("countdown") => countdown(&asked).await,
        Some("echo") => text(argument(params, "text").unwrap_or_default()),
        _ => return Err(Refusal::bad_params("unknown tool")),
    })
}

fn now(params: &Value) -> Value {
    let Some(minutes) = offset(argument(params, "offset")) else {
        return mistake("an offset is written like +02:00");
    };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
    structured(json!({"time": written(seconds + minutes * 60, minutes)}))
}

fn convert(params: &Value) -> Value {
    let times = (argument(params, "time").and_then(minutes_of_day), offset(argument(params, "from")), offset(argument(params, "to")));
    let (Some(time), Some(from), Some(to)) = times else {
        return mistake("a time is written like 09:30 and an offset like +02:00");
    };
    let (days, time) = ((time - from + to).div_euclid(1440), (time - from + to).rem_euclid(1440));
    structured(json!({"time": format!("{:02}:{:02}", time / 60, time % 60), "days": days}))
}

async fn countdown(asked: &Asked<'_>) -> Value {
    let Some(seconds) = asked.params["arguments"]["seconds"].as_u64().filter(|&seconds| seconds <= COUNT_MAX) else {
        return mistake(format!("seconds must be a number from 0 to {COUNT_MAX}"));
    };
    let total = u32::try_from(seconds).unwrap_or(0);
    for second in 1..=total {
        tokio::time::sleep(Duration::from_secs(1)).await;
        asked.progress.report(second, total).await;
    }
    text("lift-off")
}

/// Minutes east of UTC.
fn offset(written: Option<&str>) -> Option<i64> {
    let Some(written) = written else { return Some(0) };
    let (sign, rest) = match written.as_bytes().first()? {
        b'+' => (1, &written[1..]),
        b'-' => (-1, &written[1..]),
        b'Z' if written.len() == 1 => return Some(0),
        _ => return None,
    };
    minutes_of_day(rest).filter(|&minutes| minutes <= 14 * 60).map(|minutes| sign * minutes)
}

fn minutes_of_day(written: &str) -> Option<i64> {
    let (hours, minutes) = written.split_once(':')?;
    let number = |text: &str, max: i64| text.parse::<i64>().ok().filter(|number| text.len() == 2 && (0..max).contains(number));
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

/// RFC 3339, of seconds since 1970 already moved by the offset.
fn written(seconds: i64, offset: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let sign = if offset < 0 { '-' } else { '+' };
    let (zone_hours, zone_minutes) = (offset.abs() / 60, offset.abs() % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}{sign}{zone_hours:02}:{zone_minutes:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// The civil date of a day since 1970 (Howard Hinnant's algorithm).
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_around_leap_days() {
        for (seconds, offset, expected) in [
            (0, 0, "1970-01-01T00:00:00+00:00"),
            (951_782_400, 0, "2000-02-29T00:00:00+00:00"),
            (1_709_251_199, 0, "2024-02-29T23:59:59+00:00"),
            (4_107_542_400, -330, "2100-03-01T00:00:00-05:30"),
        ] {
            assert_eq!(written(seconds, offset), expected);
        }
    }

    #[test]
    fn converts_over_midnight_and_says_what_is_wrong() {
        let converted = |time: &str, to: &str| convert(&json!({"arguments": {"time": time, "to": to}}));
        assert_eq!(converted("23:30", "+02:00")["structuredContent"], json!({"time": "01:30", "days": 1}));
        assert_eq!(converted("01:00", "-05:30")["structuredContent"], json!({"time": "19:30", "days": -1}));
        for (time, to) in [("24:00", "+02:00"), ("1:00", "+02:00"), ("10:00", "2"), ("10:00", "+15:00"), ("é:é", "é")] {
            assert_eq!(converted(time, to)["isError"], true, "{time} {to}");
        }
    }
}
