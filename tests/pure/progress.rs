//! How far a step is, from lines that real programs print; and lines that only look like it.

use dogwatch::gauge::progress::{Pace, Progress, newest, of_line};

#[test]
fn what_programs_print_is_understood() {
    let table: &[(&str, f64, f64, Option<i64>)] = &[
        // tqdm and its like.
        (" 62%|██████▏   | 3700/6000 [1:50:11<1:09:02, 0.55it/s]", 3700.0, 6000.0, Some(4_142_000)),
        ("train:  5%|▌         | 5/100 [00:10<03:10,  2.00s/it, loss=1.9]", 5.0, 100.0, Some(190_000)),
        (" 10%|#         | 1.20G/12.0G [00:10<01:30, 120MB/s]", 1.2e9, 12e9, Some(90_000)),
        ("100%|██████████| 6000/6000 [2:59:13<00:00,  0.56it/s]", 6000.0, 6000.0, Some(0)),
        ("  0%|          | 0/6000 [00:00<?, ?it/s]", 0.0, 6000.0, None),
        ("Downloading: 31%|███       | 155k/500k [00:01<00:02, 150kB/s]", 155e3, 500e3, Some(2_000)),
        // Counts with a word.
        ("epoch 12/60", 12.0, 60.0, None),
        ("Epoch: [12/60] loss 0.4", 12.0, 60.0, None),
        ("step 3700/6000 loss 1.899 lr 9.0e-5", 3700.0, 6000.0, None),
        ("[2026-11-22 10:00:00] INFO Step 12 / 60: loss=0.1", 12.0, 60.0, None),
        ("iteration 5 of 20, eta 0:12:03", 5.0, 20.0, Some(723_000)),
        ("processed 12/60 files", 12.0, 60.0, None),
        ("12/60 epochs done", 12.0, 60.0, None),
        ("epoch 3/10 step 17/400", 3.0, 10.0, None),
        ("340/1000 [=========>....................] - ETA: 12s - loss: 0.3", 340.0, 1000.0, Some(12_000)),
        ("938/938 [==============================] - 2s 2ms/step", 938.0, 938.0, None),
        ("[12/60] Building CXX object src/a.cc.o", 12.0, 60.0, None),
        ("[ 3/12] RUN pip install /usr/3/4", 3.0, 12.0, None),
        ("trial 4/8.", 4.0, 8.0, None),
        ("batch 4/8, 1m 3s", 4.0, 8.0, None),
        // Per cent with a bar.
        ("[ 62%] Building CXX object", 62.0, 100.0, None),
        ("tests/test_a.py ....... [ 62%]", 62.0, 100.0, None),
        ("Training ━━━━━━━━╸━━━━ 62% 0:01:23", 62.0, 100.0, None),
        ("[=====>    ] 62.5% ETA: 1m 3s", 62.5, 100.0, Some(63_000)),
        ("model.bin  62%[=====>    ] 1.2G  12MB/s  eta 1m 3s", 62.0, 100.0, Some(63_000)),
        ("62% |████████░░░░░| loss", 62.0, 100.0, None),
        ("##################                  62.5%", 62.5, 100.0, None),
        ("▰▰▰▰▱▱▱ 55%", 55.0, 100.0, None),
    ];
    for (line, done, total, left_ms) in table {
        assert_eq!(of_line(line), Some(Progress { done: *done, total: *total, left_ms: *left_ms }), "{line}");
    }
}

#[test]
fn what_only_looks_like_it_is_none() {
    let table = [
        "",
        "loss 1.899",
        "done",
        // Dates, paths, addresses, versions.
        "started 1/2/2026",
        "step 1/2/2026 begins",
        "on 12/24",
        "reading /usr/3/4",
        "file /data/3/4 read",
        "file 3/4/x.bin",
        "10.0.0.1/24 is up",
        "step 10.0.0.1/24",
        "version 1.2/3",
        "test v1/2",
        "page a1/20",
        "2026/11/22 10:00:00 step done",
        "http://example.org/epoch/3/10",
        "and/or 3/4",
        // Not possible.
        "epoch 12/6",
        "step 5/0",
        "epoch -1/6",
        "[7/3]",
        "150%|██████████| 9/6 [00:10<00:00, 1it/s]",
        "62% of the memory is in use",
        "accuracy 62%",
        "accuracy: 62.5% (+1.2%)",
        "==== 62% ====",
        "[162%] strange",
        "CPU 62% [busy]",
        // Numbers without an end.
        "epoch 99999999999999999999999999999999999999999999/1",
    ];
    for line in table {
        assert_eq!(of_line(line), None, "{line}");
    }
    let long = format!("{}epoch 1/2", "x".repeat(100_000));
    assert_eq!(of_line(&long), None);
}

#[test]
fn the_newest_line_wins() {
    let lines = ["epoch 1/60", " 62%|██████▏   | 62/100 [00:10<00:06, 6it/s]", "saving to /ckpt/1/2", ""];
    let found = newest(lines.into_iter()).expect("progress");
    assert!((found.fraction() - 0.62).abs() < 1e-9);
    assert_eq!(newest(["nothing"].into_iter()), None);
}

fn at(done: f64) -> Progress {
    Progress { done, total: 100.0, left_ms: None }
}

#[test]
fn what_is_left_follows_from_how_it_went() {
    let mut pace = Pace::default();
    assert_eq!(pace.left_ms(0), None);
    pace.see(1_000, at(10.0));
    assert_eq!(pace.left_ms(1_000), None, "one sight tells nothing");
    pace.see(1_500, at(10.0));
    pace.see(3_000, at(20.0));
    // 200 ms for each.
    assert_eq!(pace.left_ms(3_000), Some(16_000));
    assert_eq!(pace.left_ms(5_000), Some(14_000), "time goes by");
    assert_eq!(pace.left_ms(60_000), Some(0), "later than thought");
    // Any number of sights.
    for step in 0..80 {
        let done = 20.0 + f64::from(step) + 1.0;
        pace.see(3_000 + 200 * i64::from(step + 1), at(done));
    }
    assert_eq!(pace.left_ms(19_000), Some(0));
    // The next epoch, and another count.
    pace.see(20_000, at(1.0));
    assert_eq!(pace.left_ms(20_000), None);
    pace.see(21_000, at(2.0));
    assert_eq!(pace.left_ms(21_000), Some(98_000));
    pace.see(22_000, Progress { total: 50.0, ..at(3.0) });
    assert_eq!(pace.left_ms(22_000), None);
}
