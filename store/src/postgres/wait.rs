//! Waiting for a future on a thread that is not made for it: the port is a plain function, the driver is not.
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::{self, Thread};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Blocks this thread until `future` is done. A thread that serves a runtime gives its other tasks away meanwhile.
pub fn wait<F: Future>(future: F) -> F::Output {
    let serves_others = Handle::try_current().is_ok_and(|it| it.runtime_flavor() == RuntimeFlavor::MultiThread);
    if serves_others { block_in_place(|| park_until(future)) } else { park_until(future) }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Unpark>) {
        self.0.unpark();
    }
}

fn park_until<F: Future>(future: F) -> F::Output {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            // It may return for no reason: then the future is asked once more.
            Poll::Pending => thread::park(),
        }
    }
}
