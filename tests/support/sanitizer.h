// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* sanitizer.h   1 in a build under ThreadSanitizer. It has the timer of a process for itself, where
 * nobody can patch it, starts a thread of its own, dies of a limit on the size of files, and its
 * compiler keeps matrix tiles in memory. */
#ifndef PATCHMARK_TESTS_SANITIZER_H
#define PATCHMARK_TESTS_SANITIZER_H

#define UNDER_TSAN 0
#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#undef UNDER_TSAN
#define UNDER_TSAN 1
#endif
#endif

#endif
