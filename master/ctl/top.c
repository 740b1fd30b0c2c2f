/*
 * janusctl top: a live view of the server in a terminal, or one picture of it.
 */
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "master/ctl/log.h"
#include "master/ctl/top.h"

#define EVERY_MS 1000			/* between samples */
#define EVERY_LEAST_MS 250
#define EVERY_MOST_MS 16000
#define COLUMNS_ONCE 132

static const char *const sorts[TOP_SORTS] = { "slot", "conns", "CPU", "lag", "sent" };

struct view {
	struct log_source source;
	struct top_sample sample[2], shown;
	struct top_screen screen;
	unsigned taken;			/* samples of this hub */
	enum top_sort sort;
	int every;
	bool paused;
	const char *error;		/* the last thing that is wrong, NULL: nothing is */
};

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static void take_sample(struct view *v)
{
	struct top_sample *now = &v->sample[v->taken % 2];

	top_sample(&v->source.hub, v->taken ? &v->sample[(v->taken + 1) % 2] : NULL, now);
	v->taken++;
	v->shown = *now;
}

/* ---- once ---- */

static int once(struct view *v, bool json)
{
	take_sample(v);
	while (poll(NULL, 0, EVERY_MS) < 0 && !ended)
		;
	take_sample(v);
	top_sort_workers(&v->shown, v->sort);
	if (json) {
		top_json(&v->shown);
		return EXIT_DONE;
	}
	v->screen.columns = COLUMNS_ONCE;
	top_text(&v->screen, &v->shown, "");
	for (unsigned i = 0; i < v->screen.count; i++)
		printf("%s\n", v->screen.line[i].text);
	return EXIT_DONE;
}

/* ---- in a terminal ---- */

static int style_of(enum top_style style)
{
	return style == TOP_HEAD ? A_REVERSE : style == TOP_ALARM ? A_BOLD : A_NORMAL;
}

static void draw(struct view *v)
{
	char note[64];
	int rows, columns;

	getmaxyx(stdscr, rows, columns);
	v->screen.columns = columns > 0 ? (unsigned)columns : 1;
	v->screen.rows = rows > 1 ? (unsigned)rows - 1 : 1;
	top_sort_workers(&v->shown, v->sort);
	snprintf(note, sizeof(note), "%s%g s", v->source.told_gone ? "THE SERVER HAS ENDED  " : v->paused ? "PAUSED  " : "every ", v->every / 1000.0);
	top_text(&v->screen, &v->shown, note);
	erase();
	for (unsigned i = 0; i < v->screen.count; i++) {
		attrset(style_of(v->screen.line[i].style));
		mvaddstr((int)i, 0, v->screen.line[i].text);
		if (v->screen.line[i].style == TOP_HEAD)
			for (int at = getcurx(stdscr); getcury(stdscr) == (int)i && at > 0 && at < columns; at++)
				addch(' ');
	}
	attrset(A_NORMAL);
	snprintf(v->screen.line[0].text, sizeof(v->screen.line[0].text), "q quit  space pause  +- pace  sort: s slot c conns u CPU l lag d sent (%s)", sorts[v->sort]);
	mvaddnstr(rows - 1, 0, v->screen.line[0].text, columns - 1);
	refresh();
}

/* False: quit. */
static bool take_key(struct view *v, int key)
{
	static const char keys[TOP_SORTS + 1] = "sculd";
	const char *at = key > 0 && key < 128 ? strchr(keys, key) : NULL;

	if (at)
		v->sort = (enum top_sort)(at - keys);
	else if (key == ' ' || key == 'p')
		v->paused = !v->paused;
	else if (key == '+' && v->every > EVERY_LEAST_MS)
		v->every /= 2;
	else if (key == '-' && v->every < EVERY_MOST_MS)
		v->every *= 2;
	return key != 'q' && key != 'Q';
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Of a server that was started anew or upgraded the counts begin anew, too. False: it can't be read. */
static bool follow_server(struct view *v)
{
	int r = log_source_check(&v->source);

	if (r > 0)
		v->taken = 0;
	return r >= 0;
}

/* 0, or the status: `message` is then what to say. */
static int watch(struct view *v)
{
	uint64_t next = now_ms() + EVERY_LEAST_MS;	/* (rates are there soon) */

	take_sample(v);
	for (;;) {
		uint64_t now = now_ms();
		int key;

		if (now >= next) {
			if (!follow_server(v))
				return EXIT_REFUSED;
			if (!v->paused && v->source.hub.shm)
				take_sample(v);
			next = now + (uint64_t)v->every;
		}
		draw(v);
		now = now_ms();
		timeout(next > now ? (int)(next - now) : 0);
		while ((key = getch()) != ERR) {
			if (!take_key(v, key))
				return EXIT_DONE;
			timeout(0);
		}
		if (ended)
			return EXIT_DONE;
	}
}

/* What janusctl says on stderr meanwhile would be written over the picture. */
static int hide_errors(void)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	if (saved >= 0 && null >= 0)
		dup2(null, STDERR_FILENO);
	if (null >= 0)
		close(null);
	return saved;
}

static int in_terminal(struct view *v)
{
	SCREEN *screen;
	int rc, errors;

	setlocale(LC_CTYPE, "");
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		fprintf(stderr, "janusctl: top: this terminal (TERM=%s) is not known; --once writes it plainly\n", getenv("TERM") ? getenv("TERM") : "");
		return EXIT_REFUSED;
	}
	errors = hide_errors();
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	rc = watch(v);
	endwin();
	delscreen(screen);
	if (errors >= 0) {
		dup2(errors, STDERR_FILENO);
		close(errors);
	}
	if (rc == EXIT_REFUSED)
		fprintf(stderr, "janusctl: top: the server is of another version now; use its own janusctl\n");
	return rc;
}

int ctl_top(const struct ctl_arguments *args)
{
	struct sigaction action = { .sa_handler = on_signal };
	static struct view v;
	int rc;

	v.every = EVERY_MS;
	rc = log_source_open(&v.source, args, true);
	if (rc)
		return rc;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (args->option[CTL_ONCE] || args->json || !isatty(STDOUT_FILENO) || !isatty(STDIN_FILENO))
		rc = once(&v, args->json);
	else
		rc = in_terminal(&v);
	log_source_close(&v.source);
	return rc;
}
