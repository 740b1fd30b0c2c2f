/*
 * The master: reads the configuration, opens what workers inherit, starts a keeper a slot (master_start.h), and from then on waits: for signals, for keepers
 * that end, for janusctl. It never touches a session, so nothing that a client sends can bring it down.
 */
#include "master/master.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/adoption.h"
#include "master/door.h"
#include "master/listen.h"
#include "master/master_start.h"
#include "master/programs.h"
#include "proto/control.h"
#include "shm/log.h"

#define STOP_SECONDS(m) ((double)(m)->h.settings.stop_limit / 1000 + 6)	/* for keepers to leave before they are killed */
#define END_OTHERS_MS 1000

/* ---- stop ---- */

static void on_stop_timeout(struct ev_loop *loop, struct ev_timer *t, int events)
{
	(void)t;
	(void)events;
	log_warning("keepers do not leave: killing them");
	slots_kill(ev_userdata(loop), SIGKILL);
}

/* The files of Unix sockets go at once: the next server needs not wait for the last keeper. */
static void end_listeners(struct master *m)
{
	for (unsigned i = 0; i < m->h.listeners; i++)
		listen_end(&m->h.listen[i]);
	m->h.listeners = 0;
}

/* Keepers first, then the journal, and what is for other nodes. */
static void end_if_alone(struct master *m)
{
	if (!m->stopping || slots_alive(m) > 0)
		return;
	data_end(m);
	bridge_end(m);
	if (data_alive(m) || bridge_alive(m))
		ev_timer_stop(m->loop, &m->stop_timer);
	else
		ev_break(m->loop, EVBREAK_ALL);
}

/* Stops everything in order and ends with `status`. */
static void master_stop(struct master *m, int status)
{
	if (m->stopping)
		return;
	m->stopping = true;
	m->status = status;
	service_stopping();
	reload_abandon(m);
	rolling_abandon(m);
	jwks_end(m);
	end_listeners(m);
	control_answer(m->h.caller, "the server is stopping");
	m->h.caller = -1;
	slots_kill(m, SIGTERM);
	ev_timer_init(&m->stop_timer, on_stop_timeout, STOP_SECONDS(m), 2.0);
	ev_timer_start(m->loop, &m->stop_timer);
	end_if_alone(m);
}

/* ---- signals ---- */

/* Those that are no keepers and no workers, at once. */
static void end_others(struct master *m)
{
	uint64_t deadline = restarts_now() + END_OTHERS_MS;

	if (bridge_alive(m))
		kill((pid_t)m->h.bridge, SIGKILL);
	if (data_alive(m))
		kill((pid_t)m->h.data, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) >= 0 && restarts_now() < deadline)
		poll(NULL, 0, 1);
}

static void on_term(struct ev_loop *loop, struct ev_signal *s, int events)
{
	(void)events;
	struct master *m = ev_userdata(loop);

	if (m->stopping) {
		log_warning("%s once more: killing everything", strsignal(s->signum));
		slots_end(m);
		end_others(m);
		ev_break(m->loop, EVBREAK_ALL);
		return;
	}
	log_info("%s: stopping", strsignal(s->signum));
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_SERVER, 0, "%s: stopping", strsignal(s->signum));
	master_stop(m, 0);
}

/* Keepers see the end of their orders, and wait for the next master. */
static void on_leave(struct ev_loop *loop, struct ev_signal *s, int events)
{
	struct master *m = ev_userdata(loop);

	(void)events;
	if (m->stopping)
		return;
	log_info("%s: leaving; %u workers go on without a master for %lld s", strsignal(s->signum), slots_alive(m), (long long)m->h.settings.master_linger / 1000);
	events_say(&m->hub.events, EVENTS_MASTER, EVENT_SERVER, 0, "%s: leaving", strsignal(s->signum));
	_exit(0);
}

static void on_hup(struct ev_loop *loop, struct ev_signal *s, int events)
{
	(void)s;
	(void)events;
	reload(ev_userdata(loop), -1);
}

static void on_child(struct ev_loop *loop, struct ev_signal *s, int events)
{
	struct master *m = ev_userdata(loop);

	(void)s;
	(void)events;
	while (!slots_reap(m))
		master_stop(m, 1);
	end_if_alone(m);
}

/* A reload that was asked for while none was possible may be possible now. */
static void on_turn(struct ev_loop *loop, struct ev_prepare *p, int events)
{
	(void)p;
	(void)events;
	reload_again(ev_userdata(loop));
}

/* ---- what janusctl may ask ---- */

static void control_reload(struct master *m, int caller, const struct control_request *request)
{
	(void)request;
	reload(m, caller);
}

/* The caller knows by its connection's end that the server has ended: it is left open until then. */
static void control_stop(struct master *m, int caller, const struct control_request *request)
{
	static char packet[CONTROL_PACKET_MAX];

	(void)request;
	log_info("janusctl: stopping");
	control_send(caller, packet, control_reply_pack(packet, NULL));
	master_stop(m, 0);
}

static const struct control_handler handlers[] = {
	{ CONTROL_STATUS, control_status },
	{ CONTROL_HUB, control_hub },
	{ CONTROL_SLOTS, control_slots },
	{ CONTROL_CONFIG, control_config },
	{ CONTROL_LOG, control_log },
	{ CONTROL_KICK, control_kick },
	{ CONTROL_DRAIN, control_drain },
	{ CONTROL_RELOAD, control_reload },
	{ CONTROL_STOP, control_stop },
	{ 0 },
};

/*
 * Unblocks all signals but those that are watched, which libev reads from a signalfd. One that comes while another program is executed stays
 * pending, and that program gets it.
 */
static void unblock_signals(void)
{
	sigset_t watched;

	sigemptyset(&watched);
	sigaddset(&watched, SIGTERM);
	sigaddset(&watched, SIGINT);
	sigaddset(&watched, SIGHUP);
	sigaddset(&watched, SIGUSR1);
	sigaddset(&watched, SIGCHLD);
	sigprocmask(SIG_SETMASK, &watched, NULL);
}

static void start_watchers(struct master *m)
{
	ev_set_userdata(m->loop, m);
	ev_signal_init(&m->on_term, on_term, SIGTERM);
	ev_signal_start(m->loop, &m->on_term);
	ev_signal_init(&m->on_int, on_term, SIGINT);
	ev_signal_start(m->loop, &m->on_int);
	ev_signal_init(&m->on_hup, on_hup, SIGHUP);
	ev_signal_start(m->loop, &m->on_hup);
	ev_signal_init(&m->on_leave, on_leave, SIGUSR1);
	ev_signal_start(m->loop, &m->on_leave);
	ev_signal_init(&m->on_child, on_child, SIGCHLD);
	ev_signal_start(m->loop, &m->on_child);
	ev_prepare_init(&m->on_turn, on_turn);
	ev_prepare_start(m->loop, &m->on_turn);
	control_serve(m, handlers);
	unblock_signals();
}

/* ---- main ---- */

static void close_dir(struct master *m)
{
	door_remove_all(m->dir.path);
	programs_forget(m->dir.path);
	runtime_dir_close(&m->dir);
}

int master_main(const struct config_source *source, char **argv, int handover, int revived)
{
	static struct master master;
	struct master *m = &master;
	bool adopted;

	m->source = *source;
	m->argv = argv;
	if (master_prepare(m, handover, revived) < 0) {
		rolling_give_back(m, "the new program can't start (the log says why)");
		return 1;
	}
	if ((handover >= 0 ? master_start_successor(m) : master_start_fresh(m)) < 0) {
		if (m->h.adopted || m->dir.lock < 0)
			return 1;	/* (Keepers go on, and wait for the next one.) */
		rolling_give_back(m, "the new program can't start (the log says why)");
		slots_kill(m, SIGKILL);
		data_abandon(m);
		end_listeners(m);
		if (m->dir.lock > 0)
			close_dir(m);
		return 1;
	}
	start_watchers(m);
	slots_watch(m);
	data_watch(m);
	bridge_watch(m);
	while (!slots_reap(m))
		master_stop(m, 1);
	slots_take_over(m);
	adopted = m->h.adopted;
	/* (First: a slot that is nobody's may have the hub lock.) */
	if (adopted && !m->stopping && adoption_settle(m) < 0)
		return 1;
	if (handover >= 0 && !m->stopping)
		data_take_over(m);
	if (!m->stopping) {
		bridge_take_over(m);
		jwks_watch(m);
	}
	if (handover >= 0 && !adopted && !m->stopping)
		rolling_begin(m);
	service_start(m, handover >= 0 && !adopted);
	if (!m->stopping || slots_alive(m) > 0 || data_alive(m) || bridge_alive(m))
		ev_run(m->loop, 0);
	close_dir(m);
	log_info("stopped");
	return m->status;
}
