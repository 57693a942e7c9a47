/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Stream capture: work on a capturing stream becomes nodes of a graph instead of running, and calls
 * that capture forbids fail and invalidate it.
 */

#include "tests/sim/stream.h"

struct event;
struct graph;
struct task;

/* Takes the work, also when it fails. */
CUresult capture_record(struct stream *stream, struct work *work);
/* The same for what is described already; takes the task. */
CUresult capture_add(struct stream *stream, struct task *task);
struct graph *capture_graph(const struct stream *stream);
/* A node that records, or waits for, an event which exists outside of the capture too. */
CUresult capture_event_node(struct stream *stream, CUgraphNodeType type, CUevent event);
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
/* The event stands for what the stream's next node would depend on. */
CUresult capture_note_event(struct stream *stream, struct event *event);
void capture_forget_stream(struct stream *stream);
