//! Lines on the stdin of hb-send with anything in them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use takeover::heartbeat::sender::orders::{self, Order};
use takeover::heartbeat::sender::speaker::OURS;

fuzz_target!(|data: &[u8]| {
    match orders::read(data) {
        Ok(Some(("send" | "reply", Order::Say(message)))) => {
            // What is said can be said, and nobody speaks in another's name.
            assert!(message.text("t").is_some_and(|t| !t.is_empty()));
            assert!(message.check().is_ok());
            assert!(message.fields.iter().all(|f| !OURS.contains(&f.name.as_str())));
        }
        Ok(Some(("reply" | "order", Order::Resend { span, .. }))) => assert!(span.first <= span.last),
        Ok(Some(("order", Order::Status { status, extra }))) => {
            assert!(status.is_some() || extra.is_some());
            assert!(status.is_none_or(|s| orders::check_value("st", &s).is_ok()));
            for (name, value) in extra.into_iter().flatten() {
                assert!(!OURS.contains(&name.as_str()) && !["t", "st", "dt", "protocol"].contains(&name.as_str()));
                assert!(orders::check_value(&name, &value).is_ok());
            }
        }
        Ok(Some(other)) => panic!("{other:?}"),
        Ok(None) => {}
        Err(cause) => assert!(!cause.is_empty()),
    }
});
