/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stream capture, so far only its legality: work on a capturing stream is recorded, not run, and
 * calls that capture forbids fail and invalidate it. The graph that results cannot be launched.
 */

#include "tests/sim/stream.h"

struct event;

/* Takes the work, also when it fails. */
CUresult capture_record(struct stream *stream, struct work *work);
/* STREAM_CAPTURE_IMPLICIT for work on the legacy default stream while a blocking stream captures.
 */
CUresult capture_refuse_legacy(struct stream *stream);
/* STREAM_CAPTURE_UNSUPPORTED where the calling thread's capture mode forbids "unsafe" calls. */
CUresult capture_refuse_unsafe(void);
/* The same for a call that waits for, or asks about, everything in a context. */
CUresult capture_refuse_context_wait(const struct context *context);
/* For a call that waits for, or asks about, one stream. */
CUresult capture_refuse_stream_wait(struct stream *stream);
/* For cuEventQuery and cuEventSynchronize. */
CUresult capture_refuse_event_wait(struct event *event);
/* cuStreamWaitEvent where the event or the stream is captured. *handled says whether it was. */
CUresult capture_wait_event(struct stream *stream, struct event *event, bool *handled);
void capture_note_event(struct stream *stream, struct event *event);
void capture_forget_stream(struct stream *stream);
