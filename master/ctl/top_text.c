/*
 * The lines of janusctl top, which fit the screen: 80 columns and 24 rows are enough for all but topics' long names.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "master/ctl/top.h"

#define SHORT 16		/* bytes of a number in its shortest form */

/* Cuts it to so many characters, of UTF-8. */
static void cut(char *text, unsigned columns)
{
	for (; *text; text++)
		if (((unsigned char)*text & 0xc0) != 0x80 && columns-- == 0) {
			*text = '\0';
			return;
		}
}

static void line(struct top_screen *screen, enum top_style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void line(struct top_screen *screen, enum top_style style, const char *format, ...)
{
	struct top_line *l;
	va_list args;

	if (screen->count == TOP_LINES_MAX || (screen->rows && screen->count == screen->rows))
		return;
	l = &screen->line[screen->count++];
	l->style = style;
	va_start(args, format);
	vsnprintf(l->text, sizeof(l->text), format, args);
	va_end(args);
	ctl_tame(l->text);
	cut(l->text, screen->columns);
}

/* In at most five characters and a unit of `step`s: 99999, 100k, 12.3M */
static const char *shortly(char text[SHORT], double n, double step)
{
	static const char units[] = " kMGTP";
	unsigned u = 0;

	if (n < 99999.5 && step < 1001) {
		snprintf(text, SHORT, "%.*f", n < 9.95 && n != (double)(unsigned)n ? 1 : 0, n);
		return text;
	}
	for (; n >= step && u + 2 < sizeof(units); u++)
		n /= step;
	snprintf(text, SHORT, u ? "%.*f%c" : "%.*f", n < 99.95 && u ? 1 : 0, n, units[u]);
	return text;
}

static void span(char text[32], uint64_t s)
{
	if (s >= 86400)
		snprintf(text, 32, "%" PRIu64 "d %" PRIu64 "h", s / 86400, s / 3600 % 24);
	else if (s >= 3600)
		snprintf(text, 32, "%" PRIu64 "h %" PRIu64 "min", s / 3600, s / 60 % 60);
	else if (s >= 60)
		snprintf(text, 32, "%" PRIu64 "min %" PRIu64 "s", s / 60, s % 60);
	else
		snprintf(text, 32, "%" PRIu64 "s", s);
}

static unsigned percent(unsigned lag)
{
	return (lag * 100 + 1023) / 1024;
}

static void put_head(struct top_screen *screen, const struct top_sample *s, const char *note)
{
	char up[32], text[256], buffered[SHORT], most[SHORT];
	int len;

	span(up, s->time > s->started ? (s->time - s->started) / 1000000 : 0);
	line(screen, TOP_HEAD, "janus  up %s  workers %u of %u live  restarts %" PRIu64 "  %s", up, s->live, s->workers, s->restarts, note);
	len = snprintf(text, sizeof(text), "connections %" PRIu64, s->connections);
	for (unsigned i = 0; i < TRANSPORT_GROUPS && len < (int)sizeof(text); i++)
		if (s->by_transport[i])
			len += snprintf(text + len, sizeof(text) - (size_t)len, "  %s %" PRIu64, transport_group_text(i), s->by_transport[i]);
	line(screen, TOP_PLAIN, "%s", text);
	line(screen, TOP_PLAIN, "subscriptions %" PRIu64 "  topics %" PRIu64 "  parked %" PRIu64 "  behind %" PRIu64, s->subscriptions, s->topics, s->parked, s->behind);
	line(screen, s->lag >= 512 ? TOP_ALARM : TOP_PLAIN, "ring %u%% in use, slowest worker %u%% behind  buffered %s of %s bytes", s->ring_used, percent(s->lag),
	     shortly(buffered, (double)s->buffered, 1024), shortly(most, (double)s->buffered_max, 1024));
}

static void put_rates(struct top_screen *screen, const struct top_sample *s)
{
	static const char *const names[TOP_RATES] = { "ACCEPTS", "CLOSED", "PUBLISHED", "DELIVERED", "DROPPED", "REFUSED", "IN", "OUT" };
	char head[160] = "", now[160] = "", all[160] = "", n[SHORT];

	for (unsigned r = 0; r < TOP_RATES; r++) {
		double step = r == RATE_IN || r == RATE_OUT ? 1024 : 1000;
		size_t at = strlen(head);
		int width = r == RATE_PUBLISHED || r == RATE_DELIVERED ? 10 : 8;

		snprintf(head + at, sizeof(head) - at, " %*s", width, names[r]);
		snprintf(now + at, sizeof(now) - at, " %*s", width, shortly(n, s->rate[r], step));
		snprintf(all + at, sizeof(all) - at, " %*s", width, shortly(n, (double)s->total[r], step));
	}
	line(screen, TOP_HEAD, "%-4s%s", "", head);
	line(screen, s->rate[RATE_DROPPED] > 0 ? TOP_ALARM : TOP_PLAIN, "%-4s%s", "/s", now);
	line(screen, TOP_PLAIN, "%-4s%s", "all", all);
}

static void put_worker(struct top_screen *screen, const struct top_worker *w)
{
	char published[SHORT], delivered[SHORT], out[SHORT];

	line(screen, w->lag >= 512 || strcmp(w->state, "live") != 0 ? TOP_ALARM : TOP_PLAIN, "%4u %-8s %7d %8" PRIu32 " %6" PRIu32 " %3u%% %5.1f%% %7s %7s %6s %4" PRIu32,
	     w->slot, w->state, (int)w->pid, w->connections, w->behind, percent(w->lag), w->load, shortly(published, w->rate[RATE_PUBLISHED], 1000),
	     shortly(delivered, w->rate[RATE_DELIVERED], 1000), shortly(out, w->rate[RATE_OUT], 1024), w->restarts);
}

/* How many workers there is room for, beside some topics. */
static unsigned workers_shown(const struct top_screen *screen, const struct top_sample *s)
{
	unsigned left = screen->rows > screen->count ? screen->rows - screen->count : 0, most = left / 2;

	return !screen->rows || s->workers + s->topic_count + 3 <= left || s->workers <= most ? s->workers : most;
}

void top_text(struct top_screen *screen, const struct top_sample *s, const char *note)
{
	unsigned shown;

	screen->count = 0;
	put_head(screen, s, note);
	put_rates(screen, s);
	line(screen, TOP_HEAD, "%4s %-8s %7s %8s %6s %4s %6s %7s %7s %6s %s", "SLOT", "STATE", "PROCESS", "CONNS", "BEHIND", "LAG", "CPU", "PUBL/s", "DELIV/s", "OUT/s", "DIED");
	shown = workers_shown(screen, s);
	for (unsigned i = 0; i < shown; i++)
		put_worker(screen, &s->worker[i]);
	if (shown < s->workers)
		line(screen, TOP_PLAIN, "      and %u more", s->workers - shown);
	line(screen, TOP_HEAD, "%10s %11s %12s  %s", "A SECOND", "SUBSCRIBERS", "PUBLISHED", "TOPIC");
	for (unsigned i = 0; i < s->topic_count; i++) {
		char rate[SHORT];

		line(screen, TOP_PLAIN, "%10s %11" PRIu64 " %12" PRIu64 "  %s", shortly(rate, s->topic[i].rate, 1000), s->topic[i].subscribers, s->topic[i].published,
		     s->topic[i].name);
	}
}

static void print_rates(const uint64_t total[TOP_RATES], const double rate[TOP_RATES])
{
	static const char *const names[TOP_RATES] = { "accepted", "closed", "published", "delivered", "dropped", "refused", "bytes_in", "bytes_out" };

	printf("\"rates\":{");
	for (unsigned r = 0; r < TOP_RATES; r++)
		printf("%s\"%s\":%.2f", r ? "," : "", names[r], rate[r]);
	printf("},\"totals\":{");
	for (unsigned r = 0; r < TOP_RATES; r++)
		printf("%s\"%s\":%" PRIu64, r ? "," : "", names[r], total[r]);
	printf("}");
}

void top_json(const struct top_sample *s)
{
	const char *comma = "";

	printf("{\"time\":%" PRIu64 ",\"started\":%" PRIu64 ",\"connections\":%" PRIu64 ",\"transports\":{", s->time, s->started, s->connections);
	for (unsigned i = 0; i < TRANSPORT_GROUPS; i++) {
		if (s->by_transport[i])
			printf("%s\"%s\":%" PRIu64, comma, transport_group_key(i), s->by_transport[i]);
		comma = s->by_transport[i] ? "," : comma;
	}
	printf("},\"parked\":%" PRIu64 ",\"behind\":%" PRIu64 ",\"subscriptions\":%" PRIu64 ",\"topics_used\":%" PRIu64 ",\"buffered\":%" PRIu64
	       ",\"restarts\":%" PRIu64 ",\"ring_used\":%u,\"lag\":%u,",
	       s->parked, s->behind, s->subscriptions, s->topics, s->buffered, s->restarts, s->ring_used, percent(s->lag));
	print_rates(s->total, s->rate);
	printf(",\"workers\":[");
	for (unsigned i = 0; i < s->workers; i++) {
		const struct top_worker *w = &s->worker[i];

		printf("%s{\"slot\":%u,\"state\":\"%s\",\"pid\":%d,\"connections\":%" PRIu32 ",\"behind\":%" PRIu32 ",\"restarts\":%" PRIu32 ",\"lag\":%u,\"cpu\":%.1f,",
		       i ? "," : "", w->slot, w->state, (int)w->pid, w->connections, w->behind, w->restarts, percent(w->lag), w->load);
		print_rates(w->total, w->rate);
		printf("}");
	}
	printf("],\"topics\":[");
	for (unsigned i = 0; i < s->topic_count; i++)
		printf("%s{\"topic\":\"%s\",\"rate\":%.2f,\"subscribers\":%" PRIu64 ",\"published\":%" PRIu64 "}", i ? "," : "", s->topic[i].name, s->topic[i].rate,
		       s->topic[i].subscribers, s->topic[i].published);
	printf("]}\n");
}
