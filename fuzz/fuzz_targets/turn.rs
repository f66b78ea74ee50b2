#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    _ = authloop_fuzz::stream::turn(data);
});
