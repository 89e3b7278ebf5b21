// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* Every kind that FFmpeg's libraries decode, and scaling. One thread and the libraries' bit-exact
 * mode, so that the same file gives the same frames. */
#include "media/media_source.h"

#ifdef HAVE_FFMPEG

#include "media/media_av.h"

#include <inttypes.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
#include <stdlib.h>
#include <string.h>

struct decoder {
    AVFormatContext *format;
    AVCodecContext *codec;
    AVFrame *frame;
    AVPacket *packet;
    int stream;
    int64_t packets; /* read of that stream */
    bool drained;    /* the file has no more of them */
};

static enum status failed(const struct media_reader *r, struct fault *fault, const char *what,
                          int code)
{
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, reason, sizeof reason);
    const enum status status = code == AVERROR(ENOMEM) ? ST_NO_MEMORY : ST_BAD_INPUT;
    return fault_set(fault, status, "%s cannot be read: %s: %s%s%s", r->path, what, reason,
                     *media_av_said() ? "; " : "", media_av_said());
}

/* ---- scaling --------------------------------------------------------------------------------- */

/* The library writes rows of padded width, so it writes into a picture of its own. */
struct scaling {
    struct SwsContext *context;
    AVFrame *picture;
};

static enum status scaling_new(struct media_reader *r, struct fault *fault)
{
    struct scaling *s = r->scaling = calloc(1, sizeof *s);
    if (!s || !(s->picture = av_frame_alloc()))
        return failed(r, fault, "setting up", AVERROR(ENOMEM));
    s->picture->format = AV_PIX_FMT_RGB24;
    s->picture->width = (int)r->width;
    s->picture->height = (int)r->height;
    const int code = av_frame_get_buffer(s->picture, 0);
    return code < 0 ? failed(r, fault, "setting up", code) : ST_OK;
}

/* Unmarked colours are BT.709 from 720 lines on, as players take them. */
static void set_colours(struct SwsContext *context, const AVFrame *f)
{
    int matrix = f->colorspace;
    if (matrix == AVCOL_SPC_UNSPECIFIED || matrix == AVCOL_SPC_RGB)
        matrix = f->height >= 720 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
    const int *from = sws_getCoefficients(matrix), *to = sws_getCoefficients(SWS_CS_DEFAULT);
    sws_setColorspaceDetails(context, from, f->color_range == AVCOL_RANGE_JPEG, to, 1, 0, 1 << 16,
                             1 << 16);
}

/* Shrinking averages all that a pixel covers, enlarging interpolates. */
static int scale_flags(const AVFrame *f, const struct media_reader *r)
{
    const bool shrinks = r->width <= f->width && r->height <= f->height;
    return (shrinks ? SWS_AREA : SWS_BICUBIC) | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT |
           SWS_FULL_CHR_H_INP | SWS_BITEXACT;
}

static enum status scale(struct media_reader *r, const AVFrame *f, uint8_t *rgb,
                         struct fault *fault)
{
    if (!r->scaling)
        TRY(scaling_new(r, fault));
    struct scaling *s = r->scaling;
    s->context =
        sws_getCachedContext(s->context, f->width, f->height, f->format, (int)r->width,
                             (int)r->height, AV_PIX_FMT_RGB24, scale_flags(f, r), NULL, NULL, NULL);
    if (!s->context)
        return failed(r, fault, "converting a frame", AVERROR(EINVAL));
    set_colours(s->context, f);
    AVFrame *p = s->picture;
    if (sws_scale(s->context, (const uint8_t *const *)f->data, f->linesize, 0, f->height, p->data,
                  p->linesize) != r->height)
        return failed(r, fault, "converting a frame", AVERROR(EINVAL));
    for (int64_t y = 0; y < r->height; y++)
        memcpy(rgb + y * r->width * 3, p->data[0] + y * p->linesize[0], (size_t)r->width * 3);
    return ST_OK;
}

enum status media_scale(struct media_reader *r, uint8_t *rgb, struct fault *fault)
{
    const AVFrame own = {.data = {r->own},
                         .linesize = {(int)(r->own_width * 3)},
                         .width = (int)r->own_width,
                         .height = (int)r->own_height,
                         .format = AV_PIX_FMT_RGB24,
                         .colorspace = AVCOL_SPC_RGB,
                         .color_range = AVCOL_RANGE_JPEG};
    return scale(r, &own, rgb, fault);
}

void media_scale_free(struct media_reader *r)
{
    struct scaling *s = r->scaling;
    if (!s)
        return;
    sws_freeContext(s->context);
    av_frame_free(&s->picture);
    free(s);
}

/* ---- opening --------------------------------------------------------------------------------- */

static enum status open_container(struct media_reader *r, struct decoder *d, struct fault *fault)
{
    char *url;
    /* With "file:" no part of a name is taken for a protocol. */
    if (asprintf(&url, "file:%s", r->path) < 0)
        return failed(r, fault, "setting up", AVERROR(ENOMEM));
    int code = avformat_open_input(&d->format, url, NULL, NULL);
    free(url);
    if (code < 0)
        return failed(r, fault, "it is no clip or still that is known here", code);
    code = avformat_find_stream_info(d->format, NULL);
    if (code < 0)
        return failed(r, fault, "looking for pictures", code);
    d->stream = av_find_best_stream(d->format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    return d->stream < 0 ? failed(r, fault, "looking for pictures", d->stream) : ST_OK;
}

static enum status open_codec(struct media_reader *r, struct decoder *d, struct fault *fault)
{
    const AVStream *stream = d->format->streams[d->stream];
    const AVCodec *codec = avcodec_find_decoder(stream->codecpar->codec_id);
    if (!codec)
        return failed(r, fault, "setting up the decoder", AVERROR_DECODER_NOT_FOUND);
    d->codec = avcodec_alloc_context3(codec);
    d->frame = av_frame_alloc();
    d->packet = av_packet_alloc();
    if (!d->codec || !d->frame || !d->packet)
        return failed(r, fault, "setting up", AVERROR(ENOMEM));
    int code = avcodec_parameters_to_context(d->codec, stream->codecpar);
    d->codec->thread_count = 1;
    d->codec->flags |= AV_CODEC_FLAG_BITEXACT;
    d->codec->err_recognition |= AV_EF_CRCCHECK | AV_EF_EXPLODE;
    if (code >= 0)
        code = avcodec_open2(d->codec, codec, NULL);
    return code < 0 ? failed(r, fault, "setting up the decoder", code) : ST_OK;
}

static enum status begin(struct media_reader *r, struct fault *fault)
{
    media_av_listen();
    struct decoder *d = r->state = calloc(1, sizeof *d);
    if (!d)
        return failed(r, fault, "setting up", AVERROR(ENOMEM));
    TRY(open_container(r, d, fault));
    TRY(open_codec(r, d, fault));
    const AVStream *stream = d->format->streams[d->stream];
    r->own_width = stream->codecpar->width;
    r->own_height = stream->codecpar->height;
    /* a still has a rate that its demuxer made up */
    if (stream->avg_frame_rate.num > 0 && stream->nb_frames != 1)
        r->fps = av_q2d(stream->avg_frame_rate);
    return ST_OK;
}

/* ---- frames ---------------------------------------------------------------------------------- */

/* Gives the decoder the stream's next packet, or word that none comes. */
static enum status feed(struct media_reader *r, struct decoder *d, struct fault *fault)
{
    int code;
    do {
        av_packet_unref(d->packet);
        code = av_read_frame(d->format, d->packet);
    } while (code >= 0 && d->packet->stream_index != d->stream);
    d->drained = code == AVERROR_EOF;
    if (code >= 0 && d->packet->flags & AV_PKT_FLAG_CORRUPT)
        code = AVERROR_INVALIDDATA;
    if (code < 0 && !d->drained)
        return failed(r, fault, "the next frame", code);
    d->packets += !d->drained;
    code = avcodec_send_packet(d->codec, d->drained ? NULL : d->packet);
    av_packet_unref(d->packet);
    return code < 0 ? failed(r, fault, "decoding a frame", code) : ST_OK;
}

/* The decoder's next frame into d->frame. */
static enum status decode(struct media_reader *r, struct decoder *d, bool *end, struct fault *fault)
{
    int code;
    while ((code = avcodec_receive_frame(d->codec, d->frame)) == AVERROR(EAGAIN))
        TRY(feed(r, d, fault));
    *end = code == AVERROR_EOF;
    return code < 0 && !*end ? failed(r, fault, "decoding a frame", code) : ST_OK;
}

/* A container that announces its frames must hold them, though not all need be shown: an edited
 * clip hides some. */
static enum status check_count(const struct media_reader *r, const struct decoder *d,
                               struct fault *fault)
{
    const int64_t announced = d->format->streams[d->stream]->nb_frames;
    if (r->done > 0 && d->packets >= announced)
        return ST_OK;
    return fault_set(fault, ST_BAD_INPUT,
                     "%s ends after %" PRId64 " of %" PRId64
                     " frames: the file is damaged or not whole",
                     r->path, r->done, announced > 0 ? announced : 1);
}

static enum status frame(struct media_reader *r, uint8_t *rgb, bool *end, struct fault *fault)
{
    struct decoder *d = r->state;
    TRY(decode(r, d, end, fault));
    if (*end)
        return check_count(r, d, fault);
    TRY(scale(r, d->frame, rgb, fault));
    av_frame_unref(d->frame);
    return ST_OK;
}

static void drop(struct media_reader *r)
{
    struct decoder *d = r->state;
    if (!d)
        return;
    av_packet_free(&d->packet);
    av_frame_free(&d->frame);
    avcodec_free_context(&d->codec);
    avformat_close_input(&d->format);
    free(d);
}

const struct media_source media_source_ffmpeg = {"", true, begin, frame, drop};

#else

static enum status begin(struct media_reader *r, struct fault *fault)
{
    return fault_set(fault, ST_NOT_BUILT,
                     "%s is neither .y4m nor binary .ppm, and this build has no FFmpeg for the "
                     "rest: convert it, or install the FFmpeg libraries and build again",
                     r->path);
}

static void drop(struct media_reader *r) { (void)r; }

enum status media_scale(struct media_reader *r, uint8_t *rgb, struct fault *fault)
{
    (void)rgb;
    return fault_set(fault, ST_NOT_BUILT, "%s cannot be scaled without FFmpeg", r->path);
}

void media_scale_free(struct media_reader *r) { (void)r; }

const struct media_source media_source_ffmpeg = {"", true, begin, NULL, drop};

#endif
