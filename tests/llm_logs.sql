-- A database of llm 0.36 with both generations of its schema, reduced to the tables that an import reads.
CREATE TABLE "conversations" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT,
   "model" TEXT
);
CREATE TABLE "responses" (
   "id" TEXT PRIMARY KEY,
   "model" TEXT,
   "prompt" TEXT,
   "system" TEXT,
   "prompt_json" TEXT,
   "options_json" TEXT,
   "response" TEXT,
   "response_json" TEXT,
   "conversation_id" TEXT REFERENCES "conversations"("id"),
   "duration_ms" INTEGER,
   "datetime_utc" TEXT,
   "input_tokens" INTEGER,
   "output_tokens" INTEGER,
   "token_details" TEXT,
   "schema_id" TEXT REFERENCES "schemas"("id")
, "resolved_model" TEXT, "reasoning" TEXT);
CREATE TABLE "fragments" (
   "id" INTEGER PRIMARY KEY,
   "hash" TEXT,
   "content" TEXT,
   "datetime_utc" TEXT,
   "source" TEXT
);
CREATE TABLE "prompt_fragments" (
   "response_id" TEXT REFERENCES "responses"("id"),
   "fragment_id" INTEGER REFERENCES "fragments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("response_id", "fragment_id", "order")
);
CREATE TABLE "system_fragments" (
   "response_id" TEXT REFERENCES "responses"("id"),
   "fragment_id" INTEGER REFERENCES "fragments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("response_id", "fragment_id", "order")
);
CREATE TABLE "attachments" (
   "id" TEXT PRIMARY KEY,
   "type" TEXT,
   "path" TEXT,
   "url" TEXT,
   "content" BLOB
);
CREATE TABLE "prompt_attachments" (
   "response_id" TEXT REFERENCES "responses"("id"),
   "attachment_id" TEXT REFERENCES "attachments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("response_id", "attachment_id")
);
CREATE TABLE "tool_calls" (
   "id" INTEGER PRIMARY KEY,
   "response_id" TEXT REFERENCES "responses"("id"),
   "tool_id" INTEGER REFERENCES "tools"("id"),
   "name" TEXT,
   "arguments" TEXT,
   "tool_call_id" TEXT
);
CREATE TABLE "tool_results" (
   "id" INTEGER PRIMARY KEY,
   "response_id" TEXT REFERENCES "responses"("id"),
   "tool_id" INTEGER REFERENCES "tools"("id"),
   "name" TEXT,
   "output" TEXT,
   "tool_call_id" TEXT,
   "instance_id" INTEGER REFERENCES "tool_instances"("id")
, "exception" TEXT);
CREATE TABLE "threads" (
   "id" TEXT PRIMARY KEY,
   "name" TEXT,
   "tip_message_hash" TEXT REFERENCES "messages"("hash"),
   "forked_from" TEXT REFERENCES "threads"("id"),
   "datetime_utc" TEXT
);
CREATE TABLE "turns" (
   "id" TEXT PRIMARY KEY,
   "thread_id" TEXT REFERENCES "threads"("id"),
   "parent_message_hash" TEXT REFERENCES "messages"("hash"),
   "tip_message_hash" TEXT REFERENCES "messages"("hash"),
   "model" TEXT,
   "resolved_model" TEXT,
   "options_json" TEXT,
   "schema_id" TEXT REFERENCES "schemas"("id"),
   "input_tokens" INTEGER,
   "output_tokens" INTEGER,
   "token_details" TEXT,
   "duration_ms" INTEGER,
   "datetime_utc" TEXT
, "response_json" TEXT);
CREATE TABLE "messages" (
   "hash" TEXT PRIMARY KEY,
   "parent_hash" TEXT REFERENCES "messages"("hash"),
   "role" TEXT,
   "provider_metadata" TEXT
);
CREATE TABLE "parts" (
   "id" INTEGER PRIMARY KEY,
   "message_hash" TEXT REFERENCES "messages"("hash"),
   "position" INTEGER,
   "type" TEXT,
   "tool_name" TEXT,
   "text" TEXT,
   "payload" TEXT
);
CREATE TABLE "part_attachments" (
   "part_id" INTEGER REFERENCES "parts"("id"),
   "attachment_id" TEXT REFERENCES "attachments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("part_id", "attachment_id", "order")
);
CREATE TABLE "part_fragments" (
   "part_id" INTEGER REFERENCES "parts"("id"),
   "fragment_id" INTEGER REFERENCES "fragments"("id"),
   "order" INTEGER,
   PRIMARY KEY ("part_id", "fragment_id", "order")
);
INSERT INTO "conversations" VALUES('01old','old one','gpt-4');
INSERT INTO "conversations" VALUES('01both','both','gpt-4');
INSERT INTO "fragments" VALUES(1,'h1','fragment text','x','a.txt');
INSERT INTO "fragments" VALUES(2,'h2','A FRAGMENT','x','b.txt');
INSERT INTO "messages" VALUES('m1',NULL,'system',NULL);
INSERT INTO "messages" VALUES('m2','m1','user',NULL);
INSERT INTO "messages" VALUES('m3','m2','assistant',NULL);
INSERT INTO "messages" VALUES('m4','m3','tool',NULL);
INSERT INTO "messages" VALUES('b1',NULL,'user',NULL);
INSERT INTO "messages" VALUES('b2','b1','assistant',NULL);
INSERT INTO "parts" VALUES(1,'m1',0,'text',NULL,'New system',NULL);
INSERT INTO "parts" VALUES(2,'m2',0,'text',NULL,NULL,'{"text_ref": [{"literal": "before "}, {"fragment": 2}, {"literal": " after"}]}');
INSERT INTO "parts" VALUES(3,'m3',0,'reasoning',NULL,'thinking of it',NULL);
INSERT INTO "parts" VALUES(4,'m3',1,'text',NULL,'new answer',NULL);
INSERT INTO "parts" VALUES(5,'m3',2,'tool_call','add',NULL,'{"name": "add", "arguments": {"a": 40}, "tool_call_id": "c1"}');
INSERT INTO "parts" VALUES(6,'m4',0,'tool_result','add',NULL,'{"name": "add", "output": "42", "tool_call_id": "c1"}');
INSERT INTO "parts" VALUES(7,'b1',0,'text',NULL,'In both?',NULL);
INSERT INTO "parts" VALUES(8,'b2',0,'text',NULL,'Yes, and newer.',NULL);
INSERT INTO "prompt_fragments" VALUES('r2',1,0);
INSERT INTO "responses" VALUES('r1','gpt-4','old question','Be brief.','{}','{}','old answer','{}','01old',1,'2025-01-02T03:04:05.123456',5,6,NULL,NULL,NULL,NULL);
INSERT INTO "responses" VALUES('r2','gpt-4','second','Be brief.','{}','{}','two','{}','01old',1,'2025-01-02T03:05:05.123456',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "responses" VALUES('r3','gpt-4','In both?',NULL,'{}','{}','Old copy','{}','01both',1,'2025-02-02T03:05:05',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "threads" VALUES('01new','new one','m4',NULL,'2026-01-02T03:04:05+00:00');
INSERT INTO "threads" VALUES('01both','both','b2',NULL,'2026-01-03T03:04:05+00:00');
INSERT INTO "turns" VALUES('t1','01new',NULL,'m3','gpt-5.6-luna','gpt-5.6-luna-2026','{}',NULL,9,4,NULL,3,'2026-01-02T03:04:05+00:00',NULL);
INSERT INTO "turns" VALUES('t2','01both',NULL,'b2','gpt-5.6-luna',NULL,'{}',NULL,1,2,NULL,3,'2026-01-03T03:04:05+00:00',NULL);
