// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "media/media_av.h"

#ifdef HAVE_FFMPEG

#include <libavutil/log.h>
#include <string.h>

/* It says more than their codes. Its prefix names an address, of no use in a sentence. */
static _Thread_local char logged[256];

static void keep_error(void *context, int level, const char *format, va_list args)
{
    int prefix = 0;
    if (level > AV_LOG_ERROR)
        return;
    av_log_format_line2(context, level, format, args, logged, sizeof logged, &prefix);
    logged[strcspn(logged, "\n")] = '\0';
}

void media_av_listen(void)
{
    av_log_set_callback(keep_error);
    logged[0] = '\0';
}

const char *media_av_said(void) { return logged; }

#endif
