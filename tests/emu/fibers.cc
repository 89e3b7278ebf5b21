// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* fibers.cc   The threads of a block take turns: stacks, switching, and who is next. A thread that
 * never waits costs one switch in and one out, on a stack that the thread before it has warmed. */
#include "core.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define WITHOUT_ASAN __attribute__((no_sanitize("address"), noinline))
#else
#define WITHOUT_ASAN __attribute__((noinline))
#endif

enum { STACK_BYTES = 256 << 10, GUARD_BYTES = 4096, THREADS_MAX = 1024 };
enum { STACK_EACH = STACK_BYTES + GUARD_BYTES }; /* the guard page lies below */

char *emu_stacks;
const size_t emu_stacks_bytes = (size_t)THREADS_MAX * STACK_EACH;

struct emu_place emu_place;
struct emu_thread *emu_self;
std::vector<struct emu_thread> emu_threads;

/* ---- switching ------------------------------------------------------------------------------- */

static void fiber_main();

#ifdef __x86_64__

/* Saves what the ABI asks a callee to keep, and goes on where `to` was saved; by a jump, because
 * the processor would predict that a return goes back to the caller. */
extern "C" void emu_switch(void **save, void *to);
asm(".text\n"
    ".globl emu_switch\n"
    ".type emu_switch, @function\n"
    "emu_switch:\n"
    "    pushq %rbp\n"
    "    pushq %rbx\n"
    "    pushq %r12\n"
    "    pushq %r13\n"
    "    pushq %r14\n"
    "    pushq %r15\n"
    "    movq %rsp, (%rdi)\n"
    "    movq %rsi, %rsp\n"
    "    popq %r15\n"
    "    popq %r14\n"
    "    popq %r13\n"
    "    popq %r12\n"
    "    popq %rbx\n"
    "    popq %rbp\n"
    "    popq %rcx\n"
    "    jmp *%rcx\n"
    ".size emu_switch, . - emu_switch\n");

/* The frame that emu_switch pops: six registers, the address to return to, and that function's own
 * return address, which keeps the stack aligned as a call does. */
WITHOUT_ASAN static void *context_make(char *stack)
{
    void **frame = (void **)(stack + STACK_BYTES) - 8;
    memset(frame, 0, 8 * sizeof *frame);
    frame[6] = (void *)fiber_main;
    return frame;
}

#else

#include <ucontext.h>

static void emu_switch(void **save, void *to)
{
    ucontext_t here;
    *save = &here;
    swapcontext(&here, (ucontext_t *)to);
}

static void *context_make(char *stack)
{
    ucontext_t *context = (ucontext_t *)(stack + STACK_BYTES) - 1;
    getcontext(context);
    context->uc_stack.ss_sp = stack;
    context->uc_stack.ss_size = STACK_BYTES - sizeof *context - 64;
    makecontext(context, fiber_main, 0);
    return context;
}

#endif

/* ---- stacks ---------------------------------------------------------------------------------- */

static int stacks_made;
static std::vector<void *> stacks_free;

static void *stack_take()
{
    if (!stacks_free.empty()) {
        void *stack = stacks_free.back();
        stacks_free.pop_back();
        return stack;
    }
    if (!emu_stacks) {
        emu_stacks = (char *)mmap(NULL, emu_stacks_bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (emu_stacks == (char *)MAP_FAILED)
            emu_finding("no address space for the threads' stacks");
    }
    char *guard = emu_stacks + (size_t)stacks_made++ * STACK_EACH;
    mprotect(guard, GUARD_BYTES, PROT_NONE);
    return guard + GUARD_BYTES;
}

/* ---- turns ----------------------------------------------------------------------------------- */

static void *scheduler_context;
static void (*thread_call)(void *);
static void *thread_arguments;

#ifdef __SANITIZE_ADDRESS__
static void *scheduler_fake;
static const void *scheduler_stack;
static size_t scheduler_stack_bytes;
#endif

/* Back to the scheduler, until the thread is chosen again. */
static void turn_end()
{
    struct emu_thread *self = emu_self;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(self->state == EMU_DONE ? NULL : &self->asan_fake,
                                   scheduler_stack, scheduler_stack_bytes);
#endif
    emu_switch(&self->context, scheduler_context);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(self->asan_fake, &scheduler_stack, &scheduler_stack_bytes);
#endif
}

WITHOUT_ASAN static void fiber_main()
{
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(NULL, &scheduler_stack, &scheduler_stack_bytes);
#endif
    thread_call(thread_arguments);
    emu_copies_leave(emu_self);
    emu_tma_leave(emu_self);
    emu_self->state = EMU_DONE;
    emu_sync_leave(emu_self);
    turn_end();
    abort();
}

static void thread_start(struct emu_thread *t)
{
    t->stack = stack_take();
#ifdef __SANITIZE_ADDRESS__
    ASAN_UNPOISON_MEMORY_REGION((char *)t->stack + STACK_BYTES - 1024, 1024);
#endif
    t->context = context_make((char *)t->stack);
    t->state = EMU_STARTED;
}

static void turn(struct emu_thread *t)
{
    if (t->state == EMU_FRESH)
        thread_start(t);
    emu_self = t;
    emu_place.thread = t->index;
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&scheduler_fake, t->stack, STACK_BYTES);
#endif
    emu_switch(&scheduler_context, t->context);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(scheduler_fake, NULL, NULL);
#endif
    emu_self = NULL;
    if (t->state == EMU_DONE)
        stacks_free.push_back(t->stack);
}

void emu_wait(const uint64_t *counter, uint64_t seen, const char *what)
{
    struct emu_thread *self = emu_self;
    self->counter = counter, self->seen = seen, self->what = what;
    while (*counter == seen)
        turn_end();
    self->counter = NULL;
}

static bool turn_if_able(int number)
{
    struct emu_thread *t = &emu_threads[number];
    if (t->state == EMU_DONE || (t->counter && *t->counter == t->seen))
        return false;
    turn(t);
    return true;
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void order_fill(std::vector<int> &order, int count)
{
    order.resize(count);
    for (int i = 0; i < count; i++)
        order[i] = emu_asked()->reversed ? count - 1 - i : i;
}

static void order_shuffle(std::vector<int> &order)
{
    for (int i = (int)order.size() - 1; i > 0; i--)
        std::swap(order[i], order[emu_random(i + 1)]);
}

static bool round_lockstep(std::vector<int> &order)
{
    bool any = false;
    if (emu_asked()->shuffled)
        order_shuffle(order);
    for (int number : order)
        any |= turn_if_able(number);
    return any;
}

/* One warp alone, as far as it can. */
static bool warp_run(int warp)
{
    bool any = false, progress;
    int first = warp * 32, last = first + 32 < emu_block.threads ? first + 32 : emu_block.threads;
    do {
        progress = false;
        for (int i = first; i < last; i++)
            progress |= turn_if_able(emu_asked()->reversed ? first + last - 1 - i : i);
        any |= progress;
    } while (progress);
    return any;
}

static bool round_greedy(std::vector<int> &order)
{
    bool any = false;
    if (emu_asked()->shuffled)
        order_shuffle(order);
    for (int warp : order) {
        any |= warp_run(warp);
        if (any && emu_asked()->shuffled)
            break;
    }
    return any;
}

/* ---- ends ------------------------------------------------------------------------------------ */

static void say(const char *format, va_list args)
{
    const char *kernel = emu_block.kernel ? emu_block.kernel : "no kernel";
    int parentheses = kernel[0] == '('; /* as LAUNCH asks for where a name has commas */
    fprintf(stderr,
            "emulation: %.*s block (%u,%u,%u) thread %d: ", (int)strlen(kernel) - 2 * parentheses,
            kernel + parentheses, emu_place.block.x, emu_place.block.y, emu_place.block.z,
            emu_self ? emu_self->number : -1);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    fflush(NULL);
}

void emu_finding(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    _exit(EMU_EXIT_FINDING);
}

void emu_end(enum emu_exit code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
    _exit(code);
}

/* Every wait, its first thread and how many threads are there. */
static void deadlock()
{
    char text[600] = "";
    size_t used = 0;
    for (size_t i = 0; i < emu_threads.size(); i++) {
        const struct emu_thread *t = &emu_threads[i];
        bool first = t->state == EMU_STARTED;
        int count = 0;
        for (size_t j = 0; j < emu_threads.size(); j++) {
            const struct emu_thread *u = &emu_threads[j];
            bool same =
                u->state == EMU_STARTED && t->state == EMU_STARTED && u->counter == t->counter;
            count += same;
            first &= !same || j >= i;
        }
        if (first && used < sizeof text)
            used += snprintf(text + used, sizeof text - used, "%s%d from thread %d on at %s",
                             used ? "; " : "", count, t->number, t->what);
    }
    if (used < sizeof text)
        emu_mbarrier_describe(text + used, sizeof text - used);
    emu_end(EMU_EXIT_DEADLOCK, "deadlock, %d of %d threads wait for ever: %s", emu_block.live,
            emu_block.threads, text);
}

void emu_run_threads(void (*call)(void *), void *arguments)
{
    static std::vector<int> order;
    thread_call = call, thread_arguments = arguments;
    order_fill(order, emu_asked()->greedy ? (emu_block.threads + 31) / 32 : emu_block.threads);
    while (emu_block.live > 0) {
        bool any = emu_asked()->greedy ? round_greedy(order) : round_lockstep(order);
        if (!any && !emu_tma_deliver())
            deadlock();
    }
}
