//! The rounds in simulated time.

use super::*;
use crate::probe::Verdict;
use proptest::prelude::*;

const TIMEOUT: Duration = Duration::from_secs(2);

fn ms(n: u64) -> Instant {
    Instant::at(Duration::from_millis(n))
}

fn host(n: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, n], 0))
}

fn pinger() -> Pinger {
    let mut pinger = Pinger::default();
    pinger.begin(0, Timing::new(TIMEOUT), ms(0));
    pinger
}

/// Sends what is due and returns it.
fn send(pinger: &mut Pinger, now: Instant) -> Option<Send> {
    let echo = pinger.due(now)?;
    pinger.sent(echo, now);
    Some(echo)
}

fn ending(pinger: &mut Pinger) -> Option<Ending> {
    let mut ended = pinger.finished();
    assert!(ended.len() <= 1, "{ended:?}");
    ended.pop().map(|f| f.ending)
}

fn verdict(ending: &Ending) -> Verdict {
    ending.judge(&Egress::Clear, TIMEOUT).verdict
}

#[test]
fn one_answer_suffices_and_ends_the_round() {
    let mut p = pinger();
    p.found(0, host(1), ms(1));
    let echo = send(&mut p, ms(1));
    assert_eq!(echo, Some(Send { target: 0, to: host(1), token: 0 }));
    p.reply(host(1), 0, 0, ms(4));
    let finished = p.finished();
    let rtt = Duration::from_millis(3);
    assert_eq!(finished[0].ending, Ending::Answered(rtt));
    assert_eq!((finished[0].sent, finished[0].total), (1, Duration::from_millis(4)));
    assert_eq!(p.next(), None);
    assert!(p.flights.is_empty());
}

#[test]
fn three_echoes_then_silence() {
    let mut p = pinger();
    p.found(0, host(1), ms(0));
    let mut at = Vec::new();
    while let Some(next) = p.next() {
        if send(&mut p, next).is_some() {
            at.push(next);
        }
        p.expire(next);
    }
    assert_eq!(at, [ms(0), ms(200), ms(400)]);
    assert_eq!(ending(&mut p), Some(Ending::Silent));
}

#[test]
fn only_our_own_answers_from_the_right_host_count() {
    let mut p = pinger();
    p.found(0, host(1), ms(0));
    send(&mut p, ms(0));
    p.reply(host(2), 0, 0, ms(1)); // another host
    p.reply(host(1), 0, 0x1_0000, ms(1)); // the same sequence number, a lap earlier
    p.reply(host(1), 1, 1, ms(1)); // never sent
    assert_eq!(ending(&mut p), None);
    p.reply(host(1), 0, 0, ms(2));
    assert!(matches!(ending(&mut p), Some(Ending::Answered(_))));
    p.reply(host(1), 0, 0, ms(3)); // twice
    assert_eq!(ending(&mut p), None);
}

#[test]
fn link_local_answers_come_from_the_right_link() {
    let address = |zone| socket("fe80::1", zone);
    assert!(same_host(address(2), address(2)));
    assert!(!same_host(address(2), address(3)));
    assert!(same_host(address(0), address(3)));
}

fn socket(ip: &str, zone: u32) -> SocketAddr {
    crate::probe::lookup::socket_address(ip.parse().unwrap_or(IpAddr::from([0; 4])), zone)
}

#[test]
fn a_round_ends_early_only_when_every_echo_is_in_vain() {
    let mut p = pinger();
    p.found(0, host(1), ms(0));
    for n in 0..3u32 {
        assert_eq!(ending(&mut p), None);
        send(&mut p, ms(200 * u64::from(n)));
        let trouble = Trouble::HostUnreachable(Some(host(9).ip()));
        p.error(host(1).ip(), n as u16, None, trouble.clone(), ms(500));
        p.error(host(1).ip(), n as u16, None, trouble, ms(500)); // said twice
    }
    let ending = ending(&mut p);
    assert_eq!(ending, Some(Ending::Trouble(Trouble::HostUnreachable(Some(host(9).ip())))));
    assert_eq!(ending.map(|e| verdict(&e)), Some(Verdict::Down));
}

#[test]
fn one_trouble_of_our_own_outweighs_the_others() {
    for own_first in [true, false] {
        let mut p = pinger();
        p.found(0, host(1), ms(0));
        let mut troubles = [Trouble::NoRoute, Trouble::HostUnreachable(None), Trouble::HostUnreachable(None)];
        if !own_first {
            troubles.reverse();
        }
        for (n, trouble) in (0..).zip(troubles) {
            let now = ms(200 * n);
            let echo = p.due(now).unwrap_or_else(|| panic!("nothing due"));
            p.not_sent(echo, trouble, now);
        }
        assert_eq!(ending(&mut p), Some(Ending::Trouble(Trouble::NoRoute)));
    }
}

#[test]
fn an_echo_without_room_is_tried_again() {
    let mut p = pinger();
    p.found(0, host(1), ms(0));
    let echo = p.due(ms(0)).unwrap_or_else(|| panic!("nothing due"));
    p.not_sent(echo, Trouble::NoBuffers, ms(0));
    assert_eq!(p.next(), Some(ms(10)));
    assert!(send(&mut p, ms(10)).is_some());
    p.expire(ms(2000));
    assert_eq!(ending(&mut p), Some(Ending::Silent));

    let mut p = pinger();
    p.found(0, host(1), ms(0));
    while let Some(at) = p.next() {
        p.expire(at);
        if let Some(echo) = p.due(at) {
            p.not_sent(echo, Trouble::NoBuffers, at);
        }
    }
    assert_eq!(ending(&mut p), Some(Ending::Trouble(Trouble::NoBuffers)));
}

#[test]
fn look_ups() {
    let mut p = pinger();
    p.not_found(0, "no such name".into(), ms(5));
    assert_eq!(ending(&mut p), Some(Ending::LookupFailed("no such name".into())));
    p.found(0, host(1), ms(6)); // too late
    assert_eq!(p.due(ms(6)), None);

    let mut p = pinger();
    assert_eq!(p.next(), Some(ms(2000)));
    p.expire(ms(2000));
    assert_eq!(ending(&mut p), Some(Ending::LookupTimeout));
}

#[test]
fn a_silence_after_a_slow_look_up_is_no_no() {
    for (found, expected) in [(1000, Ending::Silent), (1001, Ending::Late)] {
        let mut p = pinger();
        p.found(0, host(1), ms(found));
        send(&mut p, ms(found));
        p.expire(ms(2000));
        assert_eq!(ending(&mut p), Some(expected));
    }
}

#[test]
fn a_stall_or_a_full_buffer_makes_silence_meaningless() {
    let mut p = pinger();
    p.found(0, host(1), ms(0));
    send(&mut p, ms(0));
    p.stalled(TIMEOUT, ms(2500));
    assert_eq!(ending(&mut p), Some(Ending::Stalled(TIMEOUT)));

    let mut p = pinger();
    p.found(0, host(1), ms(0));
    send(&mut p, ms(0));
    p.lost_packets();
    p.expire(ms(2000));
    assert_eq!(ending(&mut p), Some(Ending::Overflow));
}

/// The table of the design: what is a definite no, and what is none.
#[test]
fn verdicts() {
    let from = host(9).ip();
    let egress_matters = [Ending::Silent, Ending::Trouble(Trouble::HostUnreachable(Some(from)))];
    let dev = || "eth0".to_owned();
    for ending in egress_matters {
        assert_eq!(verdict(&ending), Verdict::Down, "{ending:?}");
        for egress in [
            Egress::NoRoute(from),
            Egress::NoInterface(dev()),
            Egress::Down(dev()),
            Egress::NoCarrier(dev()),
            Egress::Unknown(dev()),
        ] {
            assert_eq!(ending.judge(&egress, TIMEOUT).verdict, Verdict::CannotTell, "{egress:?}");
        }
    }
    assert_eq!(Ending::Answered(TIMEOUT).judge(&Egress::NoCarrier(dev()), TIMEOUT).verdict, Verdict::Up);
    for errno in [
        Errno::ENETUNREACH,
        Errno::EPERM,
        Errno::ENOBUFS,
        Errno::EAGAIN,
        Errno::ENODEV,
        Errno::EACCES,
        Errno::EMSGSIZE,
        Errno::EADDRNOTAVAIL,
        Errno::EINVAL,
    ] {
        let ending = Ending::Trouble(Trouble::of_errno(errno));
        assert_eq!(verdict(&ending), Verdict::CannotTell, "{errno:?}");
    }
    assert_eq!(verdict(&Ending::Trouble(Trouble::of_errno(Errno::EHOSTUNREACH))), Verdict::Down);
    for problem in [
        Problem::NetUnreachable,
        Problem::Filtered,
        Problem::Rejected,
        Problem::TooBig,
        Problem::Expired,
        Problem::Other,
    ] {
        let ending = Ending::Trouble(Trouble::of_problem(problem, from));
        assert_eq!(verdict(&ending), Verdict::CannotTell, "{problem:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    Answer(u8),
    NoRoom,
    Unreachable(u8),
    Nothing,
}

proptest! {
    /// Whatever happens: every round ends exactly once and on time, is never called silent after its target
    /// answered, sends at most three echoes, and leaves nothing behind.
    #[test]
    fn every_round_ends(hosts in 1usize..6, lookup in prop::collection::vec(prop::option::of(0u64..2500), 6),
                        happens in prop::collection::vec(prop_oneof![
                            any::<u8>().prop_map(Happens::Answer),
                            Just(Happens::NoRoom),
                            any::<u8>().prop_map(Happens::Unreachable),
                            Just(Happens::Nothing),
                            Just(Happens::Nothing),
                        ], 0..60)) {
        let mut p = Pinger::default();
        for target in 0..hosts {
            p.begin(target, Timing::new(TIMEOUT), ms(0));
        }
        let mut happens = happens.into_iter();
        let mut echoes: Vec<Send> = Vec::new();
        let mut ended: Vec<Finished> = Vec::new();
        for t in 0..=2000u64 {
            let now = ms(t);
            for (target, at) in lookup.iter().enumerate().take(hosts) {
                if *at == Some(t) {
                    p.found(target, host(target as u8), now);
                }
            }
            p.expire(now);
            while let Some(echo) = p.due(now) {
                match happens.next().unwrap_or(Happens::Nothing) {
                    Happens::NoRoom => p.not_sent(echo, Trouble::NoBuffers, now),
                    Happens::Answer(n) => {
                        p.sent(echo, now);
                        echoes.push(echo);
                        let old = echoes[usize::from(n) % echoes.len()];
                        p.reply(old.to, old.token as u16, old.token, now);
                        prop_assert!(p.finished.iter().chain(&ended).any(|f| f.target == old.target));
                    }
                    Happens::Unreachable(n) => {
                        p.sent(echo, now);
                        echoes.push(echo);
                        let old = echoes[usize::from(n) % echoes.len()];
                        let trouble = Trouble::HostUnreachable(None);
                        p.error(old.to.ip(), old.token as u16, None, trouble, now);
                    }
                    Happens::Nothing => {
                        p.sent(echo, now);
                        echoes.push(echo);
                    }
                }
            }
            ended.extend(p.finished());
        }
        prop_assert_eq!(p.next(), None);
        prop_assert!(p.flights.is_empty() && p.rounds.is_empty());
        let mut targets: Vec<usize> = ended.iter().map(|f| f.target).collect();
        targets.sort_unstable();
        prop_assert_eq!(targets, (0..hosts).collect::<Vec<_>>());
        for f in &ended {
            prop_assert!(f.sent <= ECHOES && f.total <= TIMEOUT);
            prop_assert!(f.ending != Ending::Silent || f.sent > 0);
        }
    }
}
