// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* .mp4 (H.264, yuv420p, BT.709), .gif and .png through FFmpeg's libraries. One thread and the
 * libraries' bit-exact mode, so that the same frames give the same bytes. */
#include "media/media_format.h"

#ifdef HAVE_FFMPEG

#include "media/media_av.h"
#include "media/media_palette.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <stdlib.h>
#include <string.h>

struct encoder {
    AVCodecContext *codec;
    AVFormatContext *format; /* NULL for .png: a packet is a file */
    AVStream *stream;
    AVFrame *frame;
    AVPacket *packet;
    struct palette *palette; /* .gif */
    bool begun;              /* the container has a header and no trailer yet */
};

/* ---- messages -------------------------------------------------------------------------------- */

static enum status failed(struct media_writer *w, struct fault *fault, const char *what, int code)
{
    char reason[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, reason, sizeof reason);
    enum status status = code == AVERROR(ENOMEM) ? ST_NO_MEMORY : ST_IO;
    return fault_set(fault, status, "cannot write %s: %s: %s%s%s", w->path, what, reason,
                     *media_av_said() ? "; " : "", media_av_said());
}

/* ---- packets --------------------------------------------------------------------------------- */

static enum status write_packet(struct media_writer *w, struct encoder *e, struct fault *fault)
{
    if (!e->format)
        return out_file_write(&w->out, e->packet->data, (size_t)e->packet->size, fault);
    if (e->packet->duration == 0)
        e->packet->duration = e->palette ? 0 : 1; /* else the last frame of an .mp4 lasts no time */
    e->packet->stream_index = e->stream->index;
    av_packet_rescale_ts(e->packet, e->codec->time_base, e->stream->time_base);
    int code = av_interleaved_write_frame(e->format, e->packet);
    return code < 0 ? failed(w, fault, "writing a frame", code) : ST_OK;
}

/* Gives the encoder a frame (NULL: no more come) and writes what it has ready. */
static enum status encode(struct media_writer *w, struct encoder *e, const AVFrame *frame,
                          struct fault *fault)
{
    int code = avcodec_send_frame(e->codec, frame);
    if (code < 0)
        return failed(w, fault, "encoding a frame", code);
    while ((code = avcodec_receive_packet(e->codec, e->packet)) >= 0) {
        enum status status = write_packet(w, e, fault);
        av_packet_unref(e->packet);
        TRY(status);
    }
    return code == AVERROR(EAGAIN) || code == AVERROR_EOF
               ? ST_OK
               : failed(w, fault, "encoding a frame", code);
}

/* ---- setting up ------------------------------------------------------------------------------ */

static int open_codec(struct media_writer *w, struct encoder *e, const AVCodec *codec,
                      enum AVPixelFormat pixels, AVRational time_base)
{
    AVCodecContext *c = e->codec = avcodec_alloc_context3(codec);
    if (!c)
        return AVERROR(ENOMEM);
    c->width = (int)w->width;
    c->height = (int)w->height;
    c->pix_fmt = pixels;
    c->time_base = time_base;
    c->framerate = (AVRational){(int)w->rate, (int)w->rate_base};
    c->thread_count = 1;
    c->flags |= AV_CODEC_FLAG_BITEXACT;
    if (e->format && e->format->oformat->flags & AVFMT_GLOBALHEADER)
        c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (pixels == AV_PIX_FMT_YUV420P) {
        c->color_range = AVCOL_RANGE_MPEG;
        c->colorspace = AVCOL_SPC_BT709;
        c->color_primaries = AVCOL_PRI_BT709;
        c->color_trc = AVCOL_TRC_BT709;
        c->chroma_sample_location = AVCHROMA_LOC_CENTER;
        /* Only libx264 knows a quality; other encoders get half a bit per pixel. */
        if (av_opt_set(c->priv_data, "crf", "18", 0) < 0)
            c->bit_rate = w->width * w->height * w->rate / w->rate_base / 2 + 100000;
    }
    int code = avcodec_open2(c, codec, NULL);
    if (code < 0)
        avcodec_free_context(&e->codec);
    return code;
}

static enum status make_frame(struct media_writer *w, struct encoder *e, struct fault *fault)
{
    e->packet = av_packet_alloc();
    e->frame = av_frame_alloc();
    if (!e->packet || !e->frame)
        return failed(w, fault, "setting up", AVERROR(ENOMEM));
    e->frame->format = e->codec->pix_fmt;
    e->frame->width = e->codec->width;
    e->frame->height = e->codec->height;
    int code = av_frame_get_buffer(e->frame, 0);
    return code < 0 ? failed(w, fault, "setting up", code) : ST_OK;
}

static enum status new_encoder(struct media_writer *w, struct encoder **out, struct fault *fault)
{
    media_av_listen();
    *out = w->state = calloc(1, sizeof **out);
    return *out ? ST_OK : failed(w, fault, "setting up", AVERROR(ENOMEM));
}

static enum status make_container(struct media_writer *w, struct encoder *e, const char *name,
                                  struct fault *fault)
{
    char *url;
    /* With "file:" no part of a name is taken for a protocol. */
    if (asprintf(&url, "file:%s", w->out.temporary) < 0)
        return failed(w, fault, "setting up", AVERROR(ENOMEM));
    int code = avformat_alloc_output_context2(&e->format, NULL, name, url);
    if (code >= 0)
        code = avio_open(&e->format->pb, url, AVIO_FLAG_WRITE);
    free(url);
    if (code < 0)
        return failed(w, fault, "creating the file", code);
    e->format->flags |= AVFMT_FLAG_BITEXACT;
    e->stream = avformat_new_stream(e->format, NULL);
    return e->stream ? ST_OK : failed(w, fault, "setting up", AVERROR(ENOMEM));
}

static enum status write_header(struct media_writer *w, struct encoder *e, struct fault *fault)
{
    AVDictionary *options = NULL;
    e->stream->time_base = e->codec->time_base;
    e->stream->avg_frame_rate = e->codec->framerate;
    int code = avcodec_parameters_from_context(e->stream->codecpar, e->codec);
    /* The index in front, so that a player can begin before it has the whole file; only .mp4 heeds
     * it. */
    if (code >= 0)
        code = av_dict_set(&options, "movflags", "+faststart", 0);
    if (code >= 0)
        code = avformat_write_header(e->format, &options);
    av_dict_free(&options);
    e->begun = code >= 0;
    return code < 0 ? failed(w, fault, "writing the header", code) : ST_OK;
}

/* ---- .mp4 ------------------------------------------------------------------------------------ */

/* libx264 first; then every H.264 encoder that opens. Those for hardware that is not here do not.
 */
static enum status open_h264(struct media_writer *w, struct encoder *e, struct fault *fault)
{
    AVRational time_base = {(int)w->rate_base, (int)w->rate};
    const AVCodec *codec = avcodec_find_encoder_by_name("libx264");
    int code = AVERROR_ENCODER_NOT_FOUND;
    if (codec)
        code = open_codec(w, e, codec, AV_PIX_FMT_YUV420P, time_base);
    void *state = NULL;
    while (code < 0 && (codec = av_codec_iterate(&state)) != NULL)
        if (codec->id == AV_CODEC_ID_H264 && av_codec_is_encoder(codec) &&
            strcmp(codec->name, "libx264"))
            code = open_codec(w, e, codec, AV_PIX_FMT_YUV420P, time_base);
    if (code >= 0)
        return ST_OK;
    return fault_set(
        fault, ST_NOT_BUILT,
        "cannot write %s: FFmpeg has no H.264 encoder that works here (%s): write a .y4m", w->path,
        *media_av_said() ? media_av_said() : "none is built in");
}

static enum status mp4_begin(struct media_writer *w, struct fault *fault)
{
    struct encoder *e;
    TRY(new_encoder(w, &e, fault));
    TRY(make_container(w, e, "mp4", fault));
    TRY(open_h264(w, e, fault));
    TRY(make_frame(w, e, fault));
    return write_header(w, e, fault);
}

/* Luma per pixel, chroma from the sum of 2 x 2. */
static void to_yuv420(const struct media_writer *w, const uint8_t *rgb, AVFrame *frame)
{
    const struct media_matrix *m = &media_bt709;
    for (int64_t y = 0; y < w->height; y++)
        for (int64_t x = 0; x < w->width; x++)
            frame->data[0][y * frame->linesize[0] + x] =
                media_luma(m, rgb + (y * w->width + x) * 3);
    for (int64_t y = 0; y < w->height / 2; y++)
        for (int64_t x = 0; x < w->width / 2; x++) {
            const uint8_t *top = rgb + (2 * y * w->width + 2 * x) * 3, *low = top + w->width * 3;
            int32_t sum[3];
            for (int c = 0; c < 3; c++)
                sum[c] = top[c] + top[c + 3] + low[c] + low[c + 3];
            frame->data[1][y * frame->linesize[1] + x] = media_chroma(m->cb, sum, 2);
            frame->data[2][y * frame->linesize[2] + x] = media_chroma(m->cr, sum, 2);
        }
}

static enum status mp4_frame(struct media_writer *w, const uint8_t *rgb, struct fault *fault)
{
    struct encoder *e = w->state;
    int code = av_frame_make_writable(e->frame);
    if (code < 0)
        return failed(w, fault, "encoding a frame", code);
    to_yuv420(w, rgb, e->frame);
    e->frame->pts = w->done;
    return encode(w, e, e->frame, fault);
}

/* ---- .gif ------------------------------------------------------------------------------------ */

static enum status gif_begin(struct media_writer *w, struct fault *fault)
{
    struct encoder *e;
    TRY(new_encoder(w, &e, fault));
    TRY(make_container(w, e, "gif", fault));
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_GIF);
    /* The format counts time in hundredths of a second. */
    int code = codec ? open_codec(w, e, codec, AV_PIX_FMT_PAL8, (AVRational){1, 100})
                     : AVERROR_ENCODER_NOT_FOUND;
    if (code < 0)
        return failed(w, fault, "setting up the encoder", code);
    e->palette = palette_new();
    if (!e->palette)
        return failed(w, fault, "setting up", AVERROR(ENOMEM));
    TRY(make_frame(w, e, fault));
    return write_header(w, e, fault);
}

static enum status gif_frame(struct media_writer *w, const uint8_t *rgb, struct fault *fault)
{
    struct encoder *e = w->state;
    int code = av_frame_make_writable(e->frame);
    if (code < 0)
        return failed(w, fault, "encoding a frame", code);
    uint32_t colors[PALETTE_COLORS];
    palette_choose(e->palette, rgb, w->width * w->height, colors);
    memcpy(e->frame->data[1], colors, sizeof colors);
    for (int64_t y = 0; y < w->height; y++)
        palette_map(e->palette, rgb + y * w->width * 3, w->width, y,
                    e->frame->data[0] + y * e->frame->linesize[0]);
    e->frame->pts = (200 * w->done * w->rate_base + w->rate) / (2 * w->rate);
    return encode(w, e, e->frame, fault);
}

/* ---- .png ------------------------------------------------------------------------------------ */

static enum status png_begin(struct media_writer *w, struct fault *fault)
{
    struct encoder *e;
    TRY(new_encoder(w, &e, fault));
    const AVCodec *codec = avcodec_find_encoder(AV_CODEC_ID_PNG);
    int code = codec ? open_codec(w, e, codec, AV_PIX_FMT_RGB24, (AVRational){1, 1})
                     : AVERROR_ENCODER_NOT_FOUND;
    if (code < 0)
        return failed(w, fault, "setting up the encoder", code);
    return make_frame(w, e, fault);
}

static enum status png_frame(struct media_writer *w, const uint8_t *rgb, struct fault *fault)
{
    struct encoder *e = w->state;
    for (int64_t y = 0; y < w->height; y++)
        memcpy(e->frame->data[0] + y * e->frame->linesize[0], rgb + y * w->width * 3,
               (size_t)w->width * 3);
    e->frame->pts = 0;
    return encode(w, e, e->frame, fault);
}

/* ---- the end of all three -------------------------------------------------------------------- */

static enum status end(struct media_writer *w, struct fault *fault)
{
    struct encoder *e = w->state;
    TRY(encode(w, e, NULL, fault));
    if (!e->format)
        return ST_OK;
    e->begun = false;
    int code = av_write_trailer(e->format), closed = avio_closep(&e->format->pb);
    if (code < 0 || closed < 0)
        return failed(w, fault, "finishing the file", code < 0 ? code : closed);
    return ST_OK;
}

static void drop(struct media_writer *w)
{
    struct encoder *e = w->state;
    if (!e)
        return;
    /* Only the trailer frees what the .gif muxer holds back; the file is about to be removed. */
    if (e->begun)
        av_write_trailer(e->format);
    if (e->format)
        avio_closep(&e->format->pb);
    avformat_free_context(e->format);
    avcodec_free_context(&e->codec);
    av_frame_free(&e->frame);
    av_packet_free(&e->packet);
    palette_free(e->palette);
    free(e);
    w->state = NULL;
}

#define BUILT true
#define WORK(kind) kind##_begin, kind##_frame, end, drop
#else
#define BUILT false
#define WORK(kind) NULL, NULL, NULL, NULL
#endif

/* H.264 levels end near 16384 pixels a side; .gif has 16-bit sizes. */
const struct media_kind media_mp4 = {".mp4", false, true, 16384, BUILT, WORK(mp4)};
const struct media_kind media_gif = {".gif", false, false, 65535, BUILT, WORK(gif)};
const struct media_kind media_png = {".png", true, false, 65535, BUILT, WORK(png)};
