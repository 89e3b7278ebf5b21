// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* copies.cc   cp.async: copies that a thread starts and waits for later, in groups. */
#include "core.h"
#include "race.h"

#include <string.h>

enum { CP_BYTES = 16 };

static void copy_run(const struct emu_copy *c)
{
    memcpy(c->to, c->from, c->bytes);
    memset((char *)c->to + c->bytes, 0, CP_BYTES - c->bytes);
}

void emu_cp_async(void *shared, const void *global, int bytes)
{
    if (bytes < 0 || bytes > CP_BYTES)
        emu_finding("cp_async_16: %d bytes; 0 to 16 are possible", bytes);
    emu_need_shared("cp_async_16", shared, CP_BYTES, CP_BYTES);
    emu_need_global("cp_async_16", global, bytes, CP_BYTES);
    race_read(global, bytes);
    race_copy(shared, CP_BYTES);
    struct emu_copy copy = {shared, global, bytes};
    if (emu_asked()->eager)
        copy_run(&copy);
    else
        emu_self->copies.push_back(copy);
}

void emu_cp_async_commit()
{
    emu_self->groups.push_back(std::move(emu_self->copies));
    emu_self->copies.clear();
    emu_self->committed++;
}

void emu_cp_async_wait(int groups)
{
    while ((int)emu_self->groups.size() > groups) {
        for (auto &copy : emu_self->groups.front())
            copy_run(&copy);
        emu_self->groups.pop_front();
    }
    race_copies_done();
}

/* Copies that nobody waited for are a wait forgotten, even where the hardware would forgive it. */
void emu_copies_leave(struct emu_thread *t)
{
    size_t left = t->copies.size();
    for (auto &group : t->groups)
        left += group.size();
    if (left)
        emu_finding("the thread ends with %zu cp_async_16 that it never waited for", left);
    t->groups.clear();
}
