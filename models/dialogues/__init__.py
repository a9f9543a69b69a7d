"""Synthetic dialogues, the same for the same seed: `models.dialogues.chat.dialogue` draws one."""
