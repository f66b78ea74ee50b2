use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;

use super::*;
use crate::testing::some_time;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// A train of packets of 1200 bytes, 0.1 ms apart, as a path of `rate` bits a second lets them out.
fn train(left: Instant, rate: f64, lost: impl Fn(u32) -> bool) -> Vec<PacketReport> {
    let spacing = Duration::from_secs_f64(1200.0 * 8.0 / rate);
    let report = |n: u32| PacketReport {
        ssrc: 1,
        id: n.into(),
        rtp_sequence_number: 0,
        is_twcc: true,
        twcc_sequence_number: 0,
        size: 1200,
        arrived: !lost(n),
        departure: left + Duration::from_micros(100) * n,
        arrival: (!lost(n)).then(|| spacing * n),
        ecn: Ecn::NotEct,
    };
    (0..40).map(report).collect()
}

fn near(capacity: Option<Bitrate>, rate: f64) -> bool {
    capacity.is_some_and(|capacity| (capacity.as_bps_f64() / rate - 1.0).abs() < 0.1)
}

#[test]
fn a_bunch_tells_the_narrowest_place_also_in_parts() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    for part in train(start, 500_000.0, |_| false).chunks(7) {
        estimator.on_reports(start, part);
    }
    assert!(near(estimator.capacity(), 500_000.0), "{estimator:?}");
}

#[test]
fn losses_leave_what_came_through() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 1_000_000.0, |n| n % 4 == 1));
    assert!(near(estimator.capacity(), 750_000.0), "{estimator:?}");
}

#[test]
fn it_follows_a_path_that_changes() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    for (rate, from) in [(8_000_000.0, 0), (400_000.0, 20), (2_000_000.0, 40)] {
        for n in 0..8 {
            let left = start + Duration::from_millis(100) * (from + n);
            estimator.on_reports(start, &train(left, rate, |_| false));
        }
        assert!(near(estimator.capacity(), rate), "{rate}: {estimator:?}");
    }
}

#[test]
fn a_slow_paths_small_pictures_tell_and_a_fast_ones_do_not() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 5_000_000.0, |_| false));
    let known = estimator.capacity();
    let later = |ms| start + Duration::from_millis(ms);
    estimator.on_reports(start, &train(later(500), 1_000_000.0, |_| false)[..5]);
    assert_eq!(estimator.capacity(), known);
    for n in 2..12 {
        estimator.on_reports(start, &train(later(500 * n), 200_000.0, |_| false)[..5]);
    }
    assert!(near(estimator.capacity(), 200_000.0), "{estimator:?}");
}

#[test]
fn an_endless_stream_is_followed_too() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 1e9, |_| false));
    assert_eq!(estimator.capacity(), Some(MAX_CAPACITY));
    for n in 0..200 {
        let mut report = train(start, 1e6, |_| false).swap_remove(0);
        // 1200 bytes every 5 ms into 1 Mbit/s, behind a queue that is never empty.
        report.departure = start + Duration::from_millis(100 + 5 * n);
        report.arrival = Some(Duration::from_micros(9600 * n));
        estimator.on_reports(start, &[report]);
    }
    assert!(near(estimator.capacity(), 1e6), "{estimator:?}");
}

#[test]
fn single_packets_and_silence_say_nothing() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 5_000_000.0, |_| false));
    let known = estimator.capacity();
    for n in 1..20 {
        let lone = train(start + Duration::from_secs(n), 10_000.0, |_| false);
        estimator.on_reports(start, &lone[..2]);
        estimator.on_reports(start, &[]);
    }
    assert_eq!(estimator.capacity(), known);
}

#[test]
fn packets_lost_at_random_are_not_a_slow_path() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 5_000_000.0, |_| false));
    for n in 0..100 {
        let mut reports = train(start, 1e6, |packet| (packet + n) % 3 == 0);
        for (packet, report) in reports.iter_mut().enumerate() {
            // 4 Mbit/s arrive as they left, 10 ms later.
            let sent = Duration::from_millis(200 + 100 * u64::from(n))
                + Duration::from_micros(2400) * packet as u32;
            report.departure = start + sent;
            report.arrival = report.arrived.then_some(sent + MS(10));
        }
        estimator.on_reports(start, &reports);
    }
    assert!(
        estimator.capacity().unwrap() >= Bitrate::from_mbps(5),
        "{estimator:?}"
    );
}

#[test]
fn a_path_that_breaks_down_is_believed_once_a_flood() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 8_000_000.0, |_| false));
    let answer = start + MS(300);
    for n in 0..3 {
        let flood = train(start + MS(50 * (n + 1)), 200_000.0, |packet| packet > 2);
        estimator.on_reports(answer, &flood);
    }
    assert!(near(estimator.capacity(), 2_000_000.0), "{estimator:?}");
    let later = train(answer + MS(50), 200_000.0, |packet| packet > 2);
    estimator.on_reports(answer + MS(300), &later);
    assert!(near(estimator.capacity(), 500_000.0), "{estimator:?}");
}

#[test]
fn a_collapse_is_believed_with_the_first_few_packets() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 10_000_000.0, |_| false));
    let later = start + MS(1000);
    estimator.on_reports(later, &train(later, 200_000.0, |_| false)[..4]);
    assert!(near(estimator.capacity(), 200_000.0), "{estimator:?}");
    // But a hiccup of a busy machine is not one.
    estimator.on_reports(start, &train(start + MS(2000), 10_000_000.0, |_| false));
    let before = estimator.capacity().unwrap();
    estimator.on_reports(start, &train(start + MS(3000), 500_000.0, |_| false)[..5]);
    assert!(
        estimator.capacity().unwrap() > before * 0.5,
        "{estimator:?}"
    );
}

#[test]
fn a_machine_that_stood_still_is_not_a_slow_path() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 10_000_000.0, |_| false));
    let before = estimator.capacity().unwrap();
    for (packets, least) in [(5, before), (12, before * 0.5)] {
        let mut stalled = train(start + MS(1000 * packets), 10_000_000.0, |_| false);
        for report in &mut stalled[2..] {
            report.arrival = report.arrival.map(|at| at + MS(300));
        }
        estimator.on_reports(start, &stalled[..packets as usize]);
        assert!(estimator.capacity().unwrap() >= least, "{estimator:?}");
    }
}

#[test]
fn little_that_was_sent_does_not_tell_a_slow_path() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    let mut reports = train(start, 1e9, |_| false);
    for (n, report) in (0..).zip(&mut reports) {
        report.departure = start + MS(25) * n;
        report.arrival = Some(MS(25) * n);
    }
    estimator.on_reports(start, &reports);
    assert_eq!(estimator.capacity(), None);
}

#[test]
fn small_pictures_that_come_at_once_undo_a_low_estimate() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 150_000.0, |_| false));
    assert!(near(estimator.capacity(), 150_000.0), "{estimator:?}");
    for n in 1..6 {
        let picture = train(start + MS(1000 * n), 10_000_000.0, |_| false);
        estimator.on_reports(start, &picture[..3]);
    }
    assert!(
        estimator.capacity().unwrap() > Bitrate::from_mbps(1),
        "{estimator:?}"
    );
}

#[test]
fn a_path_that_is_free_is_tried_for_more() {
    let (mut estimator, start) = (BandwidthEstimator::default(), some_time());
    estimator.on_reports(start, &train(start, 300_000.0, |_| false));
    for n in 0..30 {
        // Full packets at 0.85 of the estimate, as a pacer lets them out.
        let rate = estimator.capacity().unwrap().as_bps_f64() * 0.85;
        let mut reports = train(start, rate, |_| false);
        for (packet, report) in reports.iter_mut().enumerate() {
            let sent = Duration::from_secs(2 * (n + 1))
                + Duration::from_secs_f64(9600.0 / rate * packet as f64);
            report.departure = start + sent;
            report.arrival = Some(sent);
        }
        estimator.on_reports(start, &reports);
    }
    assert!(
        estimator.capacity().unwrap() > Bitrate::from_mbps(1),
        "{estimator:?}"
    );
}
