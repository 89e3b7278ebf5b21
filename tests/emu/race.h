// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* race.h   The race detector's face to the rest of the emulator; nothing in other builds. */
#ifndef PATCHMARK_EMU_RACE_H
#define PATCHMARK_EMU_RACE_H

#include "core.h"

#ifdef EMU_RACE

/* Who acts in a thread's place: a copy or a product under way. */
struct race_agent {
    int id;
    uint32_t step;
    struct emu_clock clock;
};

/* What the running thread did so far goes into *into; `fresh` forgets what was there. */
void race_release(struct emu_clock *into, bool fresh);
/* What *from holds is past for the running thread. */
void race_acquire(const struct emu_clock *from);
void race_forget(struct emu_clock *clock);
/* All of them know what each did. NULL: no such lane. */
void race_meet(struct emu_thread **threads);
/* Generic accesses known to this thread are past for the asynchronous proxy too. */
void race_proxy_fence();

void race_read(const void *address, size_t bytes);
void race_write(const void *address, size_t bytes);
void race_atomic(const void *address, size_t bytes);

/* cp.async: a write of the thread's open group; the groups that were waited for are past. */
void race_copy(const void *address, size_t bytes);
void race_copies_done();

/* The running thread starts a copy of a box; it is done for those who acquire *into, or for the
 * running thread. */
void race_agent_start(struct race_agent *agent);
void race_agent_end(const struct race_agent *agent, struct emu_clock *into);
void race_agent_wait(const struct race_agent *agent);
void race_agent_read(const struct race_agent *agent, const void *address, size_t bytes);
void race_agent_write(const struct race_agent *agent, const void *address, size_t bytes);
/* The lanes of a warp start a product; it is done for them. */
void race_warp_start(struct race_agent *agent, int warp);
void race_warp_wait(const struct race_agent *agent, int warp);

#else

struct race_agent {
};
static inline void race_release(struct emu_clock *, bool) {}
static inline void race_acquire(const struct emu_clock *) {}
static inline void race_forget(struct emu_clock *) {}
static inline void race_meet(struct emu_thread **) {}
static inline void race_proxy_fence() {}
static inline void race_read(const void *, size_t) {}
static inline void race_write(const void *, size_t) {}
static inline void race_atomic(const void *, size_t) {}
static inline void race_copy(const void *, size_t) {}
static inline void race_copies_done() {}
static inline void race_agent_start(struct race_agent *) {}
static inline void race_agent_end(const struct race_agent *, struct emu_clock *) {}
static inline void race_agent_wait(const struct race_agent *) {}
static inline void race_agent_read(const struct race_agent *, const void *, size_t) {}
static inline void race_agent_write(const struct race_agent *, const void *, size_t) {}
static inline void race_warp_start(struct race_agent *, int) {}
static inline void race_warp_wait(const struct race_agent *, int) {}

#endif
#endif
