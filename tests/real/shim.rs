//! The shim with real processes: one run per attempt, a whole log, a true end, whatever happens around it.

use dogwatch::wire::keeper::Reply;
use dogwatch::wire::shim::End;

use crate::keeper::{Keep, launch, place};

#[test]
fn an_exit_code_and_the_whole_output_are_on_disk() {
    let keep = Keep::start();
    let mut engine = keep.connect();
    assert_eq!(engine.launch(launch("a", "echo one; echo two >&2; exit 7")), Reply::Launched);
    engine.wait_exited(&place("a"));
    let record = keep.exit(&place("a")).expect("a record");
    assert_eq!((record.end, record.stop, record.leaked), (End::Code(7), None, vec![]));
    assert_eq!(keep.log_text(&place("a")), "one\r\ntwo\r\n");
    assert_eq!(record.log_bytes, 10);
}
