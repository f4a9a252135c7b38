#pragma once
static void time_pairs(void) {}
static int time_request(struct reply *reply) {
  (void)reply;
  return ERROR_BAD_REQUEST;
}
