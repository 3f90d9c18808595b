//! Times of the day, week and year, as Perl's Time::Period writes them: `wd {Mon-Fri} hr {7am-6pm}, wd {Sat}`. Pure: the
//! local time is handed in.

/// A point in time on the calendar of some place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    year: u32,
    /// From 0.
    month: u32,
    /// Of the month, from 0; a week begins on Sunday.
    week: u32,
    /// From 0.
    year_day: u32,
    month_day: u32,
    /// From Sunday, which is 0.
    week_day: u32,
    hour: u32,
    minute: u32,
    second: u32,
}

impl Local {
    /// The local time at so many seconds after 1970, where the clock is `offset` seconds ahead of UTC.
    pub fn at(unix: i64, offset: i32) -> Self {
        let local = unix.saturating_add(offset.into());
        let (days, seconds) = (local.div_euclid(86_400), local.rem_euclid(86_400) as u32);
        // The calendar repeats itself every 400 years; counted from 1 March 2000 leap days come last.
        let (era, day) = ((days - 11_017).div_euclid(146_097), (days - 11_017).rem_euclid(146_097));
        let century = (day / 36_524).min(3);
        let day = day - century * 36_524;
        let (four, day) = (day / 1_461, day % 1_461);
        let one = (day / 365).min(3);
        let day = day - one * 365;
        let march_year = 2000 + era * 400 + century * 100 + four * 4 + one;
        let march_month = (5 * day + 2) / 153;
        let month_day = (day - (153 * march_month + 2) / 5 + 1) as u32;
        let month = (march_month + 2) % 12;
        let year = march_year + i64::from(month < 2);
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        let year_day = if month < 2 { day - 306 } else { day + 59 + i64::from(leap) };
        let week_day = (days + 4).rem_euclid(7) as u32;
        // Sundays after the first day of the month up to today.
        let first = (week_day + 35 - (month_day - 1)) % 7;
        let week = (month_day - 1 + first) / 7;
        Self {
            year: year.clamp(0, 9999) as u32,
            month: month as u32,
            week,
            year_day: year_day as u32,
            month_day,
            week_day,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }

    fn on(&self, scale: Scale) -> u32 {
        match scale {
            Scale::Year => self.year,
            Scale::Month => self.month,
            Scale::Week => self.week,
            Scale::YearDay => self.year_day,
            Scale::MonthDay => self.month_day,
            Scale::WeekDay => self.week_day,
            Scale::Hour => self.hour,
            Scale::Minute => self.minute,
            Scale::Second => self.second,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scale {
    Year,
    Month,
    Week,
    YearDay,
    MonthDay,
    WeekDay,
    Hour,
    Minute,
    Second,
}

/// A set of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    text: String,
    /// Any of these, in each of which all scales hold; `None` for all times.
    any: Option<Vec<Scales>>,
}

impl Period {
    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All times, for a text that means none.
    pub(super) fn always(text: &str) -> Self {
        Self { text: text.to_owned(), any: None }
    }

    /// Whether a time lies in it.
    pub fn holds(&self, now: &Local) -> bool {
        let Some(any) = &self.any else { return true };
        any.iter().any(|all| {
            all.iter().all(|(scale, _)| {
                // A scale that stands twice holds if one of the two does.
                all.iter().filter(|(s, _)| s == scale).flat_map(|(_, ranges)| ranges).any(|(from, to)| {
                    let n = now.on(*scale);
                    if from <= to { (*from..=*to).contains(&n) } else { n >= *from || n <= *to }
                })
            })
        })
    }
}

impl std::str::FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let any = match lower.as_str() {
            "" => None,
            "none" => Some(Vec::new()),
            _ => Some(
                lower.trim_end_matches([',', ' ']).split(',').map(|p| scales(p.trim())).collect::<Result<_, _>>()?,
            ),
        };
        Ok(Self { text: text.to_owned(), any })
    }
}

type Scales = Vec<(Scale, Vec<(u32, u32)>)>;

fn scales(part: &str) -> Result<Scales, String> {
    let mut rest = part;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('{').ok_or_else(|| format!("'{rest}' has no {{…}}"))?;
        let (ranges, after) = after.split_once('}').ok_or_else(|| format!("'{rest}' has no closing brace"))?;
        let scale = scale(name.trim())?;
        if ranges.contains('{') {
            return Err(format!("'{rest}' has a brace in a brace"));
        }
        // Blanks around a hyphen are nothing.
        let ranges = ranges.split_whitespace().collect::<Vec<_>>().join(" ").replace(" -", "-").replace("- ", "-");
        let ranges = ranges.split(' ').filter(|r| !r.is_empty()).map(|r| range(scale, r)).collect::<Result<_, _>>()?;
        all.push((scale, ranges));
        rest = after.trim_start();
    }
    if all.is_empty() { Err("a part between commas is empty".to_owned()) } else { Ok(all) }
}

fn scale(name: &str) -> Result<Scale, String> {
    Ok(match name {
        "yr" | "year" => Scale::Year,
        "mo" | "month" => Scale::Month,
        "wk" | "week" => Scale::Week,
        "yd" | "yday" => Scale::YearDay,
        "md" | "mday" => Scale::MonthDay,
        "wd" | "wday" => Scale::WeekDay,
        "hr" | "hour" => Scale::Hour,
        "min" | "minute" => Scale::Minute,
        "sec" | "second" => Scale::Second,
        _ => return Err(format!("'{name}' is none of yr, mo, wk, yd, md, wd, hr, min and sec")),
    })
}

fn range(scale: Scale, text: &str) -> Result<(u32, u32), String> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (value(scale, from)?, value(scale, to)?);
    // Years do not come round.
    Ok(if scale == Scale::Year { (from.min(to), from.max(to)) } else { (from, to) })
}

fn value(scale: Scale, text: &str) -> Result<u32, String> {
    let wrong = || format!("'{text}' is no {}", word(scale));
    let number = || text.parse::<u32>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit())).ok_or_else(wrong);
    let within = |n: u32, from: u32, to: u32| if (from..=to).contains(&n) { Ok(n) } else { Err(wrong()) };
    let named = |names: &[&str], letters: usize| {
        let start = text.get(..letters)?;
        names.iter().position(|name| *name == start).map(|n| n as u32)
    };
    const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    const DAYS: [&str; 7] = ["su", "mo", "tu", "we", "th", "fr", "sa"];
    match scale {
        // Two digits lie in this century: 2000 and after, for all who read this.
        Scale::Year => match number()? {
            n @ ..=99 => Ok(2000 + n),
            n => within(n, 1970, 9999),
        },
        Scale::Month => named(&MONTHS, 3).map_or_else(|| within(number()?, 1, 12).map(|n| n - 1), Ok),
        Scale::WeekDay => named(&DAYS, 2).map_or_else(|| within(number()?, 1, 7).map(|n| n - 1), Ok),
        Scale::Week => within(number()?, 1, 6).map(|n| n - 1),
        Scale::YearDay => within(number()?, 1, 366).map(|n| n - 1),
        Scale::MonthDay => within(number()?, 1, 31),
        Scale::Minute | Scale::Second => within(number()?, 0, 59),
        Scale::Hour => {
            // Time::Period takes 0am and 13am as well.
            let clock = |digits: &str| {
                let number = digits.parse::<u32>().ok().filter(|_| digits.bytes().all(|b| b.is_ascii_digit()));
                number.filter(|n| *n < 24).ok_or_else(wrong)
            };
            if let Some(digits) = text.strip_suffix("am") {
                clock(digits).map(|n| if n == 12 { 0 } else { n })
            } else if let Some(digits) = text.strip_suffix("pm") {
                clock(digits).map(|n| if n == 12 { 12 } else { n + 12 }).and_then(|n| within(n, 0, 23))
            } else if text == "12noon" {
                Ok(12)
            } else {
                within(number()?, 0, 23)
            }
        }
    }
}

fn word(scale: Scale) -> &'static str {
    match scale {
        Scale::Year => "year",
        Scale::Month => "month (jan or 1 to dec or 12)",
        Scale::Week => "week of a month (1 to 6)",
        Scale::YearDay => "day of a year (1 to 366)",
        Scale::MonthDay => "day of a month (1 to 31)",
        Scale::WeekDay => "day of a week (sun or 1 to sat or 7)",
        Scale::Hour => "hour (0 to 23, 12am to 11pm)",
        Scale::Minute => "minute (0 to 59)",
        Scale::Second => "second (0 to 59)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn holds(period: &str, unix: i64) -> bool {
        period.parse::<Period>().unwrap().holds(&Local::at(unix, 0))
    }

    /// 2026-11-21 was a Saturday; 14:00:07 UTC.
    const SATURDAY: i64 = 1_795_269_607;

    #[test]
    fn the_calendar() {
        let of = |unix, offset| {
            let l = Local::at(unix, offset);
            (l.year, l.month + 1, l.month_day, l.hour, l.minute, l.second, l.week_day, l.year_day + 1, l.week + 1)
        };
        assert_eq!(of(0, 0), (1970, 1, 1, 0, 0, 0, 4, 1, 1));
        assert_eq!(of(-1, 0), (1969, 12, 31, 23, 59, 59, 3, 365, 5));
        assert_eq!(of(SATURDAY, 0), (2026, 11, 21, 14, 0, 7, 6, 325, 3));
        assert_eq!(of(SATURDAY, 36_000), (2026, 11, 22, 0, 0, 7, 0, 326, 4));
        assert_eq!(of(951_782_400, 0), (2000, 2, 29, 0, 0, 0, 2, 60, 5));
        assert_eq!(of(1_709_164_800, -1), (2024, 2, 28, 23, 59, 59, 3, 59, 5));
        assert_eq!(of(4_107_542_400, 0), (2100, 3, 1, 0, 0, 0, 1, 60, 1));
    }

    #[test]
    fn periods() {
        for yes in [
            "",
            "wd {Sun-Sat}",
            "wd {Sat}",
            "wd{7}",
            "wd {Fri-Mon}",
            "wd {Mon-Fri} hr {8am-5pm}, wd {Sat} hr {2pm}",
            "hr {12pm - 14}",
            "hr {10pm-2pm}",
            "mo {oct-dec} md {1 21} yd {325}",
            "yr {26} wk {3} min {0} sec {5-10}",
            "wday {saturday} hour {14}",
            "wd {Mon} wd {Sat}",
        ] {
            assert!(holds(yes, SATURDAY), "{yes}");
        }
        for no in ["none", "wd {Mon-Fri}", "wd {Sat} hr {8am-1pm}", "hr {10pm-1pm}", "wd {}", "yr {25}", "md {22-20}"] {
            assert!(!holds(no, SATURDAY), "{no}");
        }
        // An hour goes to its end.
        assert!(holds("hr {9am-2pm}", SATURDAY + 59 * 60) && !holds("hr {9am-2pm}", SATURDAY + 60 * 60));
        for bad in [
            "wd",
            "wd {",
            "wd }",
            "wd {Xyz}",
            "hr {24}",
            "hr {13pm}",
            "hr {24am}",
            "wd {Mon},,wd {1}",
            "foo {1}",
            "wd {1-}",
            "wd {-1}",
            "{1}",
            "wd {0}",
            "md {0}",
            "sec {60}",
            "wd {{1}}",
            "anything",
            "min {+1}",
            "wd {Mon} x",
        ] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z0-9{}, -]{0,30}", unix in any::<i64>(), offset in -90_000i32..90_000) {
            let now = Local::at(unix / 1000, offset);
            prop_assert!(now.month < 12 && (1..=31).contains(&now.month_day) && now.week < 6 && now.year_day < 366);
            if let Ok(period) = text.parse::<Period>() { let _ = period.holds(&now); }
        }
    }
}
