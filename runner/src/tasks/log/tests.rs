//! The output log: head and tail, offsets, and the counted loss between them.

use super::*;

const HEAD: u64 = 10;
const TAIL: u64 = 20;

fn at(path: PathBuf) -> Log {
    Log::new(path, HEAD, TAIL, Arc::default())
}

fn letters(count: u64) -> Vec<u8> {
    (0..count).map(|at| b'a' + u8::try_from(at % 26).unwrap()).collect()
}

/// What is read, from memory as far as it is there, and then the same from the disk alone.
fn all(log: &Log, from: u64) -> (u64, Vec<u8>) {
    let slice = log.read(from, 1_000).unwrap();
    let tail = std::mem::take(&mut log.state().tail_buffer);
    assert_eq!(log.read(from, 1_000).unwrap(), slice);
    log.state().tail_buffer = tail;
    (slice.from, slice.data.0)
}

#[test]
fn a_short_output_is_read_without_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Log::new(path.clone(), 1_000, 1_000, Arc::default());
    log.append(b"short");
    std::fs::remove_file(path).unwrap();
    let read = |from, max| log.read(from, max).unwrap().data.0;
    assert_eq!((read(0, 1_000), read(2, 2), read(5, 10)), (b"short".to_vec(), b"or".to_vec(), vec![]));
    assert_eq!(log.preview(100).head, "short");
}

#[test]
fn everything_is_kept_up_to_the_bound_however_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    for step in [1, 3, 7, 30] {
        let log = at(folder.path().join(step.to_string()));
        let text = letters(30);
        text.chunks(step).for_each(|chunk| log.append(chunk));
        assert_eq!(log.kept(), Kept { head_end: 10, tail_start: 10, total: 30 });
        assert_eq!(all(&log, 0), (0, text[..10].to_vec()));
        assert_eq!(all(&log, 10), (10, text[10..].to_vec()));
    }
}

#[test]
fn beyond_the_bound_head_and_tail_stay_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    for step in [1, 3, 7, 100] {
        let log = at(folder.path().join(step.to_string()));
        let text = letters(100);
        text.chunks(step).for_each(|chunk| log.append(chunk));
        assert_eq!(log.kept(), Kept { head_end: 10, tail_start: 80, total: 100 });
        assert_eq!(all(&log, 0), (0, text[..10].to_vec()));
        assert_eq!(all(&log, 10), (80, text[80..].to_vec()), "the gap is skipped");
        assert_eq!(all(&log, 95), (95, text[95..].to_vec()));
        assert_eq!(all(&log, 500), (100, Vec::new()));
        assert_eq!(std::fs::metadata(folder.path().join(step.to_string())).unwrap().len(), 30);
    }
}

#[test]
fn a_silent_task_has_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let log = at(folder.path().join("log"));
    assert_eq!(all(&log, 0), (0, Vec::new()));
    assert!(!folder.path().join("log").exists());
}

#[test]
fn where_the_disk_refuses_the_end_is_kept_in_memory_and_the_loss_counted() {
    let folder = tempfile::tempdir().unwrap();
    let log = at(folder.path().join("missing/log"));
    let text = letters(2 * FALLBACK as u64);
    text.chunks(1_000).for_each(|chunk| log.append(chunk));
    let kept = log.kept();
    assert_eq!((kept.total, kept.head_end, kept.omitted()), (2 * FALLBACK as u64, 0, FALLBACK as u64));
    let (from, end) = all(&log, kept.total - 100);
    assert_eq!((from, end), (kept.total - 100, text[text.len() - 100..].to_vec()));
}

/// As on a full disk: what was written stays readable, and nothing more can be written.
fn refuse_writing(log: &Log) {
    *log.file() = Some(File::open(&log.path).unwrap());
}

#[test]
fn where_the_disk_is_full_the_log_makes_room_and_loses_nothing_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let (head, tail) = (400_000, 1_000_000);
    // Within the head, in the ring, and round it.
    for total in [300_000, 900_000, 3_000_000] {
        let disk = Arc::new(AtomicU64::new(0));
        let path = folder.path().join(total.to_string());
        let log = Log::new(path.clone(), head, tail, Arc::clone(&disk));
        let text = letters(total + 1_000);
        let (before, after) = text.split_at(usize::try_from(total).unwrap());
        before.chunks(60_000).for_each(|chunk| log.append(chunk));
        let was = std::fs::metadata(&path).unwrap().len();
        refuse_writing(&log);
        log.append(after);
        let on_disk = std::fs::metadata(&path).unwrap().len();
        assert!(was - on_disk >= FALLBACK as u64, "{total}: {was} {on_disk}");
        assert_eq!(disk.load(Ordering::Relaxed), on_disk);
        let kept = log.kept();
        let in_memory = FALLBACK as u64 - 1_000;
        assert_eq!((kept.total, kept.tail_start), (total + 1_000, total - in_memory), "{total}");
        assert_eq!(kept.omitted(), if total > head + tail { total - in_memory - head } else { 1_000 });
        let (from, end) = log.range(total - 1_000, total + 1_000).map(|(data, from)| (from, data)).unwrap();
        assert_eq!((from, end.as_slice()), (total - 1_000, &text[text.len() - 2_000..]), "{total}");
        assert_eq!(log.range(0, 1_000).unwrap().0, text[..1_000]);
    }
}

/// The disk refuses a byte and then answers nothing any more: whoever asks for what is in memory must not
/// wait for that.
#[test]
fn while_the_disk_hangs_what_is_in_memory_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Arc::new(Log::new(path.clone(), HEAD, TAIL, Arc::default()));
    log.append(b"one\ntwo");
    *log.file() = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
    // Nobody writes to it, so opening it does not come back.
    std::fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
    let writer = Arc::clone(&log);
    let writing = std::thread::spawn(move || writer.append(b" and three"));
    let (told, heard) = std::sync::mpsc::channel();
    let asked = Arc::clone(&log);
    std::thread::spawn(move || {
        while asked.state().coming < 17 {
            std::thread::yield_now();
        }
        // Time is what is tested: each round finds the writer farther.
        for _ in 0..50 {
            let known = (asked.kept().total, asked.last_line(), asked.is_at_hand());
            told.send(known).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(4));
        }
    });
    for _ in 0..50 {
        let (total, line, at_hand) =
            heard.recv_timeout(std::time::Duration::from_secs(20)).expect("it waits for the disk");
        assert_eq!((total, line.as_str(), at_hand), (7, "two", true));
    }
    drop(OpenOptions::new().read(true).write(true).open(&path).unwrap());
    writing.join().unwrap();
    assert_eq!((log.kept().total, log.last_line().as_str()), (17, "two and three"));
}

#[test]
fn a_restored_log_reads_as_before() {
    let folder = tempfile::tempdir().unwrap();
    for total in [5, 30, 100] {
        let path = folder.path().join(total.to_string());
        let log = at(path.clone());
        letters(total).chunks(4).for_each(|chunk| log.append(chunk));
        let again = Log::restored(path, HEAD, TAIL, Arc::default(), Some(total));
        assert_eq!(again.kept(), log.kept());
        assert_eq!(all(&again, 0), all(&log, 0));
        assert_eq!(all(&again, total - 3), all(&log, total - 3));
    }
}

#[test]
fn a_wrapped_log_without_its_length_keeps_the_head_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    at(path.clone()).append(&letters(100));
    let again = Log::restored(path, HEAD, TAIL, Arc::default(), None);
    assert_eq!(again.kept().head_end, 10);
    assert_eq!(all(&again, 0), (0, letters(10)));
    assert_eq!(all(&again, 10).1, b"");
}

#[test]
fn removing_gives_the_disk_back() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Arc::new(AtomicU64::new(0));
    let log = Log::new(folder.path().join("log"), HEAD, TAIL, Arc::clone(&disk));
    log.append(&letters(100));
    assert_eq!(disk.load(Ordering::Relaxed), 30);
    log.remove();
    assert_eq!(disk.load(Ordering::Relaxed), 0);
    assert_eq!(log.kept().omitted(), 100);
    assert_eq!(all(&log, 0), (100, Vec::new()));
}

#[test]
fn a_preview_has_both_ends_and_counts_between() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path().join("log"), 1 << 20, 1 << 20, Arc::default());
    for number in 0..100_000 {
        log.append(format!("line {number}\n").as_bytes());
    }
    let preview = log.preview(100);
    assert!(
        preview.head.starts_with("line 0\nline 1\n") && preview.head.chars().count() == 50,
        "{}",
        preview.head
    );
    assert!(preview.tail.ends_with("line 99999\n") && preview.tail.chars().count() == 50, "{}", preview.tail);
    assert_eq!(preview.omitted_chars, log.total() - 100, "all of it is ASCII");
}

#[test]
fn a_match_behind_the_gap_has_its_true_number() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path().join("log"), 1_000, 5_000, Arc::default());
    for number in 1..=10_000 {
        log.append(format!("line {number}\n").as_bytes());
    }
    let (found, matches) = log.grep(&regex::Regex::new("^line (7|9999)$").unwrap(), 10, 1_000);
    assert_eq!((found.head.as_str(), matches), ("7: line 7\n9999: line 9999\n", 2));
}

#[test]
fn the_last_lines_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(folder.path().join("log"), 1_000, 500_000, Arc::default());
    for number in 1..=100_000 {
        log.append(format!("line {number}\n").as_bytes());
    }
    assert_eq!(log.tail(2, 1_000).head, "line 99999\nline 100000\n");
}

#[test]
fn the_last_bytes_printed_are_read_whatever_the_size_and_the_bound() {
    const HEAD: u64 = 1 << 20;
    const TAIL: u64 = 2 << 20;
    let last = "error: 3 tests FAILED\n";
    let edges = [1, 65_536, 131_072, 262_144, HEAD, HEAD + 65_536, HEAD + TAIL, HEAD + 2 * TAIL];
    let sizes = edges.iter().flat_map(|edge| [edge - 1, *edge, edge + 1, edge + 21, edge + 4_097]);
    let folder = tempfile::tempdir().unwrap();
    for size in sizes.chain([138_894, 348_894, 700_000]) {
        let mut text = "a line of the output\n".repeat(usize::try_from(size / 21).unwrap());
        text.push_str(&"x".repeat(usize::try_from(size).unwrap() - text.len()));
        text.push('\n');
        text.push_str(last);
        let refused = Log::new(folder.path().join("missing/log"), HEAD, TAIL, Arc::default());
        let log = Log::new(folder.path().join(size.to_string()), HEAD, TAIL, Arc::default());
        for log in [&log, &refused] {
            text.as_bytes().chunks(65_536).for_each(|chunk| log.append(chunk));
            for most in [44, 200, 4_000, 16_384, 50_000] {
                let preview = log.preview(most);
                let shown = preview.head.clone() + &preview.tail;
                assert!(shown.ends_with(last), "preview of {most} from {size}: {shown:.50}");
                assert_eq!(shown.len() as u64 + preview.omitted_chars, text.len() as u64, "{most}, {size}");
                assert_eq!(log.tail(1, most).head, last, "tail of {most} from {size}");
            }
            let (lines, tail) = (text.lines().rev().take(5).collect::<Vec<_>>(), log.tail(5, 4_000));
            let tail = tail.head + &tail.tail;
            let read: Vec<_> = tail.lines().rev().collect();
            // A line that is longer than the bound is cut, not the last.
            assert_eq!((read[0], read.len()), (lines[0], lines.len()), "{size}");
        }
    }
}

/// What is shown and what is counted to lie between are all of it, whatever a character takes.
#[test]
fn what_lies_between_is_counted_in_characters() {
    const HEAD: u64 = 200_000;
    const TAIL: u64 = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let signs = ["a", "\u{e4}", "\u{6f22}", "\u{1f600}", "\u{e4}a\n\u{6f22}"];
    for (number, (sign, size)) in signs
        .iter()
        .flat_map(|sign| [140_000, 300_000, 450_000, 1_500_000].map(|size| (sign, size)))
        .enumerate()
    {
        let text = sign.repeat(size / sign.len());
        let all = text.chars().count() as u64;
        let path = folder.path().join(number.to_string());
        let log = Log::new(path.clone(), HEAD, TAIL, Arc::default());
        // Characters are cut apart on their way.
        text.as_bytes().chunks(65_535).for_each(|chunk| log.append(chunk));
        let again = Log::restored(path, HEAD, TAIL, Arc::default(), Some(text.len() as u64));
        for most in [100, 4_000, 50_000] {
            let shown =
                |preview: &Preview| (preview.head.chars().count() + preview.tail.chars().count()) as u64;
            let preview = log.preview(most);
            assert_eq!(shown(&preview) + preview.omitted_chars, all, "{sign:?} {size} {most}");
            let preview = again.preview(most);
            let counted = shown(&preview) + preview.omitted_chars;
            if again.kept().omitted() == 0 {
                assert_eq!(counted, all, "{sign:?} {size} {most}, restored");
            } else {
                // Bytes of what is kept no more.
                let lost = again.kept().omitted();
                assert!(
                    (all..=all + lost).contains(&counted),
                    "{sign:?} {size} {most}, restored: {counted} of {all}"
                );
            }
        }
    }
}

#[test]
fn a_line_whose_number_is_not_known_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = Log::new(path.clone(), 1_000, 5_000, Arc::default());
    for number in 1..=10_000 {
        log.append(format!("line {number}\n").as_bytes());
    }
    let again = Log::restored(path, 1_000, 5_000, Arc::default(), Some(log.total()));
    let (found, matches) = again.grep(&regex::Regex::new("^line (7|9999)$").unwrap(), 10, 1_000);
    assert_eq!((found.head.as_str(), matches), ("7: line 7\n?: line 9999\n", 2));
}

/// While a part of the ring is being written over, nobody takes what lies there for what lay there.
#[test]
fn what_is_being_written_over_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let log = at(folder.path().join("log"));
    log.append(&letters(30));
    assert_eq!(all(&log, 10).0, 10);
    log.state().coming = 35;
    assert_eq!(log.kept(), Kept { head_end: 10, tail_start: 15, total: 30 });
    assert_eq!(all(&log, 10), (15, letters(30)[15..].to_vec()));
    log.state().coming = 1_000;
    assert_eq!((log.kept().tail_start, all(&log, 10).1), (30, Vec::new()));
}
