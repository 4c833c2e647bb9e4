BEGIN TRANSACTION;
CREATE TABLE conversations (
            id TEXT PRIMARY KEY,
            name TEXT UNIQUE,
            model TEXT NOT NULL,
            first_words TEXT NOT NULL,
            created TEXT NOT NULL,
            updated TEXT NOT NULL
        );
INSERT INTO "conversations" VALUES('0123456789abcdef0123456789abcdef','work','openai:gpt-6-luna','Who wrote Faust? And when? 😀','2026-03-04T05:06:07+00:00','2026-03-05T06:07:08+00:00');
INSERT INTO "conversations" VALUES('fedcba9876543210fedcba9876543210','play','test:echo','hello','2026-03-04T05:06:07+00:00','2026-03-04T05:06:09+00:00');
CREATE TABLE messages (
            conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            message TEXT NOT NULL,
            PRIMARY KEY (conversation_id, position)
        ) WITHOUT ROWID;
INSERT INTO "messages" VALUES('0123456789abcdef0123456789abcdef',0,'{"parts":[{"content":"Be brief.","part_kind":"system-prompt"},{"content":"Who wrote Faust?\n  And when? 😀","attachments":[{"name":"dot.png","media_type":"image/png","data":"iVBORw0KGgo=","url":""}],"timestamp":"2026-03-04T05:06:07Z","part_kind":"user-prompt"}],"kind":"request"}');
INSERT INTO "messages" VALUES('0123456789abcdef0123456789abcdef',1,'{"parts":[{"content":"hm","part_kind":"thinking"},{"content":"Goethe, in 1808.","part_kind":"text"}],"finish_reason":"stop","usage":{"requests":1,"request_tokens":12,"response_tokens":5,"total_tokens":17,"details":{"cached_tokens":1},"cost":null,"estimated":false},"served_by":"openai:gpt-6-luna","model_name":"gpt-6-luna-2026","finish_word":null,"timestamp":"2026-03-04T05:06:07Z","kind":"response"}');
INSERT INTO "messages" VALUES('0123456789abcdef0123456789abcdef',2,'{"parts":[{"content":"And the second part?","attachments":[],"timestamp":"2026-03-04T05:06:07Z","part_kind":"user-prompt"}],"kind":"request"}');
INSERT INTO "messages" VALUES('0123456789abcdef0123456789abcdef',3,'{"parts":[{"content":"It appea","part_kind":"text"}],"finish_reason":"interrupted","usage":{"requests":1,"request_tokens":null,"response_tokens":null,"total_tokens":null,"details":null,"cost":null,"estimated":false},"served_by":"openai:gpt-6-luna","model_name":"gpt-6-luna-2026","finish_word":null,"timestamp":"2026-03-04T05:06:07Z","kind":"response"}');
INSERT INTO "messages" VALUES('fedcba9876543210fedcba9876543210',0,'{"parts":[{"content":"hello","attachments":[],"timestamp":"2026-03-04T05:06:07Z","part_kind":"user-prompt"}],"kind":"request"}');
INSERT INTO "messages" VALUES('fedcba9876543210fedcba9876543210',1,'{"parts":[{"content":"hello","part_kind":"text"}],"finish_reason":"stop","usage":{"requests":1,"request_tokens":1,"response_tokens":1,"total_tokens":2,"details":null,"cost":null,"estimated":false},"served_by":"test:echo","model_name":"echo","finish_word":null,"timestamp":"2026-03-04T05:06:07Z","kind":"response"}');
COMMIT;
PRAGMA user_version = 1;
