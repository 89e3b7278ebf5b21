// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* media_av.h   What the libraries of FFmpeg say when something fails; they print nothing. */
#ifndef PATCHMARK_MEDIA_AV_H
#define PATCHMARK_MEDIA_AV_H

#ifdef HAVE_FFMPEG
void media_av_listen(void);      /* before the first call of anything that may fail */
const char *media_av_said(void); /* the last line of an error since then, or "" */
#endif

#endif
