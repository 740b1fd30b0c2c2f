/*
 * Rights as the configuration says them: rules divided by spaces or commas.
 *
 *   subscribe:news.*  publish:news.uk  history:news.*  presence:news.*    of topics, by a pattern (rights.h)
 *   login:bob  send:*                                                     of users: to read what they are sent; to send to them
 *   broadcast                                                             to send to everybody
 *   all       all of that, of everything
 *   none      nothing; stands alone
 */
#ifndef PROTO_RIGHTS_TEXT_H
#define PROTO_RIGHTS_TEXT_H

#include "proto/http.h"
#include "proto/rights.h"

/* NULL, or why a rule is none; that is *wrong then. */
const char *rights_text_error(const char *list, struct http_text *wrong);

/* Grants what the rules say. (Those that are none are passed over.) */
void rights_text_grant(struct rights_writer *w, const char *list);

/* Everything. */
void rights_grant_all(struct rights_writer *w);

#endif
